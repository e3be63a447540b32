"""Training of Pixel-Perfect Depth: pools, going on after a stop, what comes out, and learning."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import avg_pool2d

from imgtool.api import Runtime
from imgtool_defocus.ppd.checkpoint import load_ppd
from imgtool_defocus.ppd.config import SIZES
from imgtool_defocus.ppd.flow import normalised
from imgtool_defocus.ppd.maker import PpdTrainParams, TrainPpd
from imgtool_defocus.ppd.model import PixelPerfect
from imgtool_defocus.ppd.pool import Pool
from imgtool_defocus.ppd.quality import fitted_errors, mean_of
from imgtool_defocus.ppd.semantics import fingerprint
from imgtool_defocus.ppd.training import PpdTraining, Training, side_for, split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

SIDE = 16


def made(runtime: Runtime, out: Path, journal: Path) -> Path:
    scoped = runtime.for_stage()
    scoped.journal = journal
    TrainPpd().make(PpdTrainParams(smoke=True), {}, out, scoped)
    return out


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def whole(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an unbroken training of a few steps writes."""
    folder = tmp_path_factory.mktemp("whole")
    return made(runtime, folder / "made", folder / "journal")


def test_a_training_leaves_a_model_its_encoder_figures_logs_and_plots(whole: Path) -> None:
    figures = json.loads((whole / "figures.json").read_text())
    logs = {
        log.parent.name: list(csv.DictReader(log.read_text().splitlines()))
        for log in whole.glob("*/log.csv")
    }

    assert load_ppd(whole).config == replace(
        SIZES["tiny"], encoder=fingerprint(whole / "semantics")
    )
    assert (whole / "semantics" / "model.safetensors").is_file()
    assert sorted(figures) == ["abs_rel", "between", "delta1", "edge_chamfer_m", "flying"]
    assert sorted(logs) == ["1-coarse", "2-fine"]
    assert {"loss", "gradient"} <= set(logs["2-fine"][0])
    assert len(list(whole.glob("*/loss.png"))) == 2


def test_a_stopped_training_goes_on_to_the_same_weights(
    runtime: Runtime, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, count = Pool.batch, iter(range(99))

    def stopped(self: Pool, *args: Any) -> Any:
        if next(count) == 3:
            raise KeyboardInterrupt
        return batch(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Pool, "batch", stopped)
        with pytest.raises(KeyboardInterrupt):
            made(runtime, tmp_path / "made", tmp_path / "journal")
    again = made(runtime, tmp_path / "made", tmp_path / "journal")
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, again))

    assert (tmp_path / "journal" / "1-coarse" / "checkpoint.safetensors").is_file()
    assert all(torch.equal(one[name], other[name]) for name in one)


def discs(indices: Sequence[int]) -> tuple[Tensor, Tensor]:
    """A bright disc, 1 m away, before a dark wall, 3 m away."""
    at = torch.arange(SIDE)
    pictures, depths = [], []
    for index in indices:
        row, column = np.random.default_rng(index).integers(4, 12, 2)
        inside = (at[:, None] - row) ** 2 + (at - column) ** 2 < 14
        pictures.append((inside * 200 + 20).expand(3, SIDE, SIDE))
        depths.append(torch.where(inside, 1.0, 3.0))
    return torch.stack(pictures).byte(), torch.stack(depths)


class Means:
    """Prompts of one's own: mean colours of tokens."""

    channels = 3

    def __call__(self, pictures: Tensor, rows: int, columns: int) -> Tensor:
        return avg_pool2d(pictures, pictures.shape[2] // rows).flatten(2).transpose(1, 2)


class PlainLoops:
    """Adam without schedule, average or file."""

    def trained(
        self, name: str, model: Any, loss: Any, *, steps: int, rate: float, **_: Any
    ) -> None:
        adam = torch.optim.Adam(model.parameters(), rate)
        for step in range(steps):
            adam.zero_grad()
            loss(step)[0].backward()
            adam.step()


def test_a_few_steps_learn_what_is_near(tmp_path: Path) -> None:
    config = replace(SIZES["tiny"], patch=4, semantics=3, area=SIDE**2, objective="regression")
    pool = Pool(tmp_path, discs, 16, SIDE)
    settings = Training((20, 20), rates=(5e-3, 5e-3), batch=8)
    training = PpdTraining(config, settings, pool, Means(), PlainLoops(), torch.device("cpu"))
    model = PixelPerfect(training.trained().eval(), Means())
    pictures, true = discs(range(100, 104))
    near = []
    for picture, depth in zip(pictures, true, strict=True):
        seen = model(picture.permute(1, 2, 0).numpy(), torch.Generator()).values
        near.append(float(seen[depth > 2].mean() - seen[depth < 2].mean()))

    assert min(near) > 0.5


def test_a_flow_learns_to_lower_its_error(tmp_path: Path) -> None:
    config = replace(SIZES["tiny"], patch=4, semantics=3, area=SIDE**2)
    errors: dict[str, list[float]] = {}

    class Watched(PlainLoops):
        def trained(self, name: str, model: Any, loss: Any, **given: Any) -> None:
            super().trained(name, model, loss, **given)
            with torch.no_grad():
                errors[name] = [float(loss(10_000 + step)[0]) for step in range(4)]

    settings = Training((40, 1), rates=(5e-3, 5e-3), batch=8)
    pool = Pool(tmp_path, discs, 16, SIDE)
    PpdTraining(config, settings, pool, Means(), Watched(), torch.device("cpu")).trained()

    assert sum(errors["1-coarse"]) / 4 < 0.8  # a velocity of zero is wrong by 1 and more


def test_a_pool_makes_each_picture_once(tmp_path: Path) -> None:
    asked: list[int] = []

    def scenes(indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        asked.extend(indices)
        return discs(indices)

    rows = np.array([5, 2, 5])
    pictures, metres = Pool(tmp_path, scenes, 6, SIDE).rows(rows)
    again = Pool(tmp_path, scenes, 6, SIDE).rows(rows)

    assert asked == [2, 5]
    assert torch.equal(again[0], pictures)
    assert torch.equal(metres, discs([5, 2, 5])[1])


def test_a_batch_depends_on_its_draw_and_mirrors_both_alike(tmp_path: Path) -> None:
    pool = Pool(tmp_path, discs, 6, SIDE)
    one, same, other = (pool.batch(np.random.default_rng(seed), 8) for seed in (1, 1, 2))

    assert torch.equal(one[0], same[0])
    assert not torch.equal(one[0], other[0])
    assert torch.equal(one[0][:, 0] > 0.5, one[1] < 2)


def test_steps_are_split_without_losing_any() -> None:
    assert split(20_000) == (15_000, 5_000)
    assert all(sum(split(steps)) == steps and min(split(steps)) > 0 for steps in range(2, 50))


def test_pictures_of_both_stages_are_whole_patches() -> None:
    assert (side_for(SIZES["small"]), side_for(SIZES["full"])) == (64, 896)


def test_scenes_come_with_their_exact_depth(runtime: Runtime) -> None:
    make: Any = runtime.component("picture-depths", "tabletop")
    pictures, metres = make(size=SIDE, seed=1)([3, 4])
    unseen = make(size=SIDE, seed=1, held_out=True)([3])[0]

    assert (pictures.shape, pictures.dtype) == ((2, 3, SIDE, SIDE), torch.uint8)
    assert (metres.shape, metres.dtype) == ((2, SIDE, SIDE), torch.float32)
    assert 0.1 < float(metres.min()) < float(metres.max()) < 5
    assert torch.equal(make(size=SIDE, seed=1)([4])[0][0], pictures[1])
    assert not torch.equal(unseen[0], pictures[0])


def test_errors_are_those_of_the_fitted_map() -> None:
    true = discs([0])[1][0] + torch.linspace(0, 0.2, SIDE)
    exact = fitted_errors(normalised(true[None].clamp_max(3.1))[0] * 0.3 + 7, "logdepth", true, 0)
    fallen = fitted_errors(-true.log1p(), "logdepth", true, 0)

    assert exact["abs_rel"] < 0.02
    assert exact["flying"] == 0
    assert fallen["abs_rel"] > 0.1
    assert mean_of([exact, {**fallen, "flying": float("nan")}])["flying"] == 0
