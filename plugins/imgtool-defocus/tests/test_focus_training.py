"""Training of the focus network: through the lens, going on after a stop, and what comes out."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imgtool.api import Runtime
from imgtool_defocus.auto.config import SIZES
from imgtool_defocus.auto.critics import Critic, Denoiser, frozen
from imgtool_defocus.auto.losses import contrastive, convincing, distribution_gradient, matching
from imgtool_defocus.auto.maker import FocusTrainParams, TrainAuto
from imgtool_defocus.auto.network import load_focus
from imgtool_defocus.auto.photographs import Photographs
from imgtool_defocus.auto.quality import hits, rule_of
from imgtool_defocus.auto.training import FocusTraining, Sets, Training

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


def made(runtime: Runtime, out: Path, journal: Path) -> Path:
    scoped = runtime.for_stage()
    scoped.journal = journal
    TrainAuto().make(FocusTrainParams(smoke=True, through_lens=True), {}, out, scoped)
    return out


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def whole(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an unbroken training of a few steps writes."""
    folder = tmp_path_factory.mktemp("whole")
    return made(runtime, folder / "made", folder / "journal")


def test_a_training_leaves_a_network_figures_logs_and_plots(whole: Path) -> None:
    figures = json.loads((whole / "figures.json").read_text())
    logs = {
        log.parent.name: list(csv.DictReader(log.read_text().splitlines()))
        for log in whole.glob("*/log.csv")
    }

    assert load_focus(whole).config == SIZES["tiny"]
    assert {"on_largest", "on_largest_through_lens", "middle_on_largest"} <= set(figures)
    assert sorted(logs) == ["1-saliency", "2-teacher", "3-lens"]
    assert {"matching", "convincing", "critic", "fake", "sharp"} <= set(logs["3-lens"][0])
    assert len(list(whole.glob("*/loss.png"))) == 3


def test_the_shipped_network_focuses_on_the_largest_solid_of_held_out_scenes(
    runtime: Runtime,
) -> None:
    see: Any = runtime.component("subjects", "tabletop")
    scene = see(size=48, seed=81, held_out=True)
    net = load_focus(runtime.model("defocus/tabletop", "focus-distance").path)

    assert hits(rule_of(net, "median"), [scene(at) for at in range(40)]).largest >= 0.85


def test_a_stopped_training_goes_on_to_the_same_weights(
    runtime: Runtime, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blurred = FocusTraining.blurred
    calls = iter(range(100))

    def stopped(self: FocusTraining, *args: Any) -> Any:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return blurred(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(FocusTraining, "blurred", stopped)
        with pytest.raises(KeyboardInterrupt):
            made(runtime, tmp_path / "made", tmp_path / "journal")
    again = made(runtime, tmp_path / "made", tmp_path / "journal")
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, again))

    assert (tmp_path / "journal" / "2-teacher" / "checkpoint.safetensors").is_file()
    assert all(torch.equal(one[name], other[name]) for name in one)


RAMP = torch.arange(16, dtype=torch.uint8).expand(3, 16, 16)
LAYERS = {
    "image": (np.uint8, (3, 16, 16)),
    "depth": (np.float32, (16, 16)),
    "strength": (np.float32, ()),
}


def test_photographs_are_made_once_and_a_batch_depends_on_seed_and_step(tmp_path: Path) -> None:
    asked: list[int] = []

    def example(index: int) -> dict[str, Tensor]:
        asked.append(index)
        return {"image": RAMP, "depth": RAMP[0] / 255.0, "strength": torch.tensor(2.0)}

    kept = Photographs(tmp_path, example, 3, LAYERS)
    one, same, other = (kept.batch(1, step, 8) for step in (5, 5, 6))
    again = Photographs(tmp_path, example, 3, LAYERS).batch(1, 5, 8)

    assert len(asked) == len(set(asked)) <= 3
    assert torch.equal(one["image"], same["image"])
    assert torch.equal(one["image"], again["image"])
    assert not torch.equal(one["image"], other["image"])
    # A mirrored picture has mirrored depth.
    assert torch.allclose(one["image"][:, 0], one["depth"])
    assert one["strength"].tolist() == [2.0] * 8


def test_matching_pulls_towards_what_is_real_and_away_from_what_is_made() -> None:
    x = torch.zeros(1, 3, 4, 4, requires_grad=True)
    real, fake = torch.full_like(x, 0.5), torch.full_like(x, -0.25)
    gradient = distribution_gradient(x, real, fake)
    matching(x, gradient).backward()  # type: ignore[no-untyped-call]

    assert gradient.flatten()[0].item() == pytest.approx(-1.5)
    assert x.grad is not None
    assert x.grad.sum().item() == pytest.approx(-1.5)


def test_a_critic_learns_that_a_real_picture_under_anothers_lens_is_wrong() -> None:
    torch.manual_seed(0)
    critic = Critic(8)
    generator = torch.Generator().manual_seed(0)
    adam = torch.optim.Adam(critic.parameters(), 1e-2)
    sharp = torch.rand(4, 3, 8, 8, generator=generator)
    soft = 0.5 + 0.1 * (sharp - 0.5)
    wide, narrow = torch.full((4,), 1.0), torch.full((4,), -1.0)
    real, k = torch.cat((sharp, soft)), torch.cat((narrow, wide))
    for _ in range(40):
        adam.zero_grad()
        contrastive(critic, real, k, -k, real, -k).backward()
        adam.step()
    with torch.no_grad():
        right, wrong = critic(real, k).mean(), critic(real, -k).mean()

    assert float(right) > float(wrong) + 1.0


def test_a_frozen_net_passes_gradients_on_and_takes_none() -> None:
    critic = Critic(8)
    x = torch.rand(1, 3, 8, 8, requires_grad=True)
    convincing(frozen(critic), x, torch.zeros(1)).backward()  # type: ignore[no-untyped-call]

    assert x.grad is not None
    assert bool(x.grad.any())
    assert all(weight.grad is None for weight in critic.parameters())


def test_an_untrained_denoiser_leaves_what_has_little_noise() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        made = Denoiser(8)(x, torch.tensor([0.001]), torch.zeros(1))

    assert float((made - x).abs().max()) < 0.01


SQUARE = slice(8, 24)
EDGE = 32


def square(index: int) -> dict[str, Tensor]:
    """A textured near square before a textured wall."""
    generator = torch.Generator().manual_seed(index)
    image = torch.randint(0, 256, (3, EDGE, EDGE), generator=generator, dtype=torch.uint8)
    subject = torch.zeros(EDGE, EDGE, dtype=torch.uint8)
    subject[SQUARE, SQUARE] = 1
    depth = torch.where(subject > 0, 0.5, 2.0)
    return {"image": image, "depth": depth, "subject": subject, "strength": torch.tensor(3.0)}


@pytest.fixture
def squares(tmp_path: Path) -> Sets:
    layers: dict[str, tuple[type, tuple[int, ...]]] = {
        "image": (np.uint8, (3, EDGE, EDGE)), "depth": (np.float32, (EDGE, EDGE)),
        "subject": (np.uint8, (EDGE, EDGE)), "strength": (np.float32, ()),
    }  # fmt: skip
    kept = Photographs(tmp_path, square, 4, layers)
    return Sets(kept, kept, kept)


class PlainLoops:
    """Adam without schedule, average or file."""

    def trained(
        self, name: str, model: Any, loss: Any, *, steps: int, rate: float, **_: Any
    ) -> None:
        adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], rate)
        for step in range(steps):
            adam.zero_grad()
            loss(step)[0].backward()
            adam.step()


def test_masks_teach_where_to_look(squares: Sets) -> None:
    settings = Training((40, 1, 1), rates=(1e-2, 1e-3, 1e-3), batch=2)
    net = FocusTraining(SIZES["tiny"], settings, squares, PlainLoops(), "cpu").saliency()
    found = square(9)
    focus_m = rule_of(net, "median")(found["image"] / 255.0, found["depth"])

    assert focus_m == 0.5


def test_the_lens_tells_the_network_by_gradients(squares: Sets) -> None:
    settings = Training((1, 1, 1), batch=2, crop=16, scales=1.0)
    training = FocusTraining(SIZES["tiny"], settings, squares, PlainLoops(), "cpu")
    net = training.saliency()
    training.through_lens(net, training.teacher())
    net.zero_grad()
    k = torch.full((2,), 3.0).log()
    made = training.blurred(net, 0, k, torch.Generator().manual_seed(0)).code
    made.square().sum().backward()  # type: ignore[no-untyped-call]

    assert made.shape == (2, 3, 16, 16)
    assert bool(net.logit.weight.grad.any())
    assert bool(net.scale[-1].weight.grad.any())
