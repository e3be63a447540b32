"""Training of PocketSR: pools, both stages, going on after a stop, and what comes out."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imgtool.api import Runtime
from imgtool_sr.pocketsr.config import SIZES
from imgtool_sr.pocketsr.losses import reconstruction
from imgtool_sr.pocketsr.maker import PocketTrainParams, TrainPocketsr, kinds
from imgtool_sr.pocketsr.model import load_pocketsr
from imgtool_sr.pocketsr.pool import LARGE, Pool, widened
from imgtool_sr.pocketsr.quality import psnr
from imgtool_sr.pocketsr.training import PocketTraining, Training, split

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


def made(runtime: Runtime, out: Path, journal: Path) -> Path:
    scoped = runtime.for_stage()
    scoped.journal = journal
    TrainPocketsr().make(PocketTrainParams(smoke=True), {}, out, scoped)
    return out


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def whole(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an unbroken training of a few steps writes."""
    folder = tmp_path_factory.mktemp("whole")
    return made(runtime, folder / "made", folder / "journal")


def test_halving_an_error_counts_alike_in_all_pictures_but_those_that_are_near() -> None:
    true = torch.zeros(1, 3, 8, 8)

    def halved(levels: float) -> float:
        return float(
            reconstruction(true + levels / 255, true) - reconstruction(true + levels / 510, true)
        )

    # log 4, which is 6 dB; nearer than four levels less and less.
    assert halved(100) == pytest.approx(halved(50), rel=0.02) == pytest.approx(1.386, rel=0.02)
    assert 0.05 > halved(1) > halved(0.5) > 0


def test_a_training_leaves_a_model_figures_logs_and_plots(whole: Path) -> None:
    figures = json.loads((whole / "figures.json").read_text())
    logs = {
        log.parent.name: list(csv.DictReader(log.read_text().splitlines()))
        for log in whole.glob("*/log.csv")
    }

    assert load_pocketsr(whole).config == SIZES["tiny"]
    assert {"gain_leaves_x2", "bicubic_scenes_x4", "teacher_gain_textures_x2"} <= set(figures)
    assert sorted(logs) == ["1-teacher", "2-fit", "3-student"]
    assert {"loss", "gain_db", "features", "latent"} <= set(logs["3-student"][0])
    assert len(list(whole.glob("*/loss.png"))) == 3


def test_a_stopped_training_goes_on_to_the_same_weights(
    runtime: Runtime, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Pool.batch
    calls = iter(range(100))

    def stopped(self: Pool, *args: Any) -> tuple[Tensor, Tensor]:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return batch(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Pool, "batch", stopped)
        with pytest.raises(KeyboardInterrupt):
            made(runtime, tmp_path / "made", tmp_path / "journal")
    again = made(runtime, tmp_path / "made", tmp_path / "journal")
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, again))

    assert (tmp_path / "journal" / "1-teacher" / "checkpoint.safetensors").is_file()
    assert all(torch.equal(one[name], other[name]) for name in one)


def flat(index: int) -> tuple[Tensor, Tensor]:
    large = torch.full((3, LARGE, LARGE), index, dtype=torch.uint8)
    return large, large[:, ::2, ::2]


def test_a_pool_makes_each_pair_once_and_kinds_take_turns(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def kind(name: str) -> Any:
        return lambda index: (asked.append((name, index)), flat(index))[1]

    pool = Pool(tmp_path / "pairs.u8", [kind("a"), kind("b")], 6)
    for index in (0, 3, 5, 3):
        pool.pair(index)
    assert asked == [("a", 0), ("b", 1), ("b", 2)]

    again = Pool(tmp_path / "pairs.u8", [kind("a"), kind("b")], 6)
    assert int(again.pair(5)[1].max()) == 2
    assert len(asked) == 3


def test_a_batch_depends_on_seed_and_step_and_its_halves_belong_together(tmp_path: Path) -> None:
    ramp = torch.arange(LARGE, dtype=torch.uint8).expand(3, LARGE, LARGE).contiguous()
    pool = Pool(tmp_path / "pairs.u8", [lambda index: (ramp, ramp[:, ::2, ::2])], 3)
    one, same, other = (pool.batch(1, step, 4, 64) for step in (5, 5, 6))

    assert torch.equal(one[0], same[0])
    assert not torch.equal(one[0], other[0])
    assert one[0].shape == (4, 3, 64, 64)
    assert float((one[0] - one[1]).abs().max()) < 0.02


def test_steps_are_split_without_losing_any() -> None:
    assert split(6000) == (4560, 300, 1140)
    assert all(sum(split(steps)) == steps and min(split(steps)) > 0 for steps in range(3, 99))


def test_pictures_of_every_source_degradation_and_scale_are_seen(runtime: Runtime) -> None:
    pairs = kinds(runtime.component("picture-pairs", "tabletop"), 1)
    least, between, largest = pairs[2](0), pairs[18](0), pairs[34](0)

    assert len(pairs) == 48
    assert {large.shape for large, _ in (least, between, largest)} == {(3, LARGE, LARGE)}
    assert least[1].shape[1] == LARGE / 2 > between[1].shape[1] > largest[1].shape[1] == LARGE / 4
    assert not torch.equal(least[0], pairs[0](0)[0])


def test_psnr_is_a_pictures_own() -> None:
    true = torch.zeros(2, 3, 4, 4)
    off = torch.stack([true[0] + 0.1, true[1] - 1])

    assert psnr(off, true).tolist() == [pytest.approx(20, abs=1e-4), pytest.approx(100)]


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


def test_both_stages_learn_to_beat_bicubic(tmp_path: Path) -> None:
    stripes = torch.from_numpy(np.indices((LARGE, LARGE)).sum(0) // 5 % 2 * 200).byte()
    large = stripes.expand(3, LARGE, LARGE).contiguous()
    small = widened(large, LARGE // 2, LARGE // 2)
    pool = Pool(tmp_path / "pairs.u8", [lambda index: (large, small)], 1)
    settings = Training((40, 10, 20), rates=(4e-3, 4e-3, 2e-3), batch=2, crop=32)
    training = PocketTraining(SIZES["tiny"], settings, pool, PlainLoops(), "cpu")
    teacher = training.teacher()
    student = training.student(teacher)
    u, true = pool.batch(9, 0, 4, 64)
    with torch.no_grad():
        gains = [float((psnr(net(u), true) - psnr(u, true)).mean()) for net in (teacher, student)]

    assert min(gains) > 0.5
    assert weights(student) < weights(teacher)


def weights(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())
