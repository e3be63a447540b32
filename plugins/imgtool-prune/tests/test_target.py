"""Pruning to a size, to FLOPs and to a loss: what is found, and what it costs to find it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from toy_pipe import UNITS, WIDTH, Denoiser, Pipe, prompts

from imgtool.api import BadParams
from imgtool_prune.architectures import paths, split
from imgtool_prune.calibration import Calibration, Trajectories
from imgtool_prune.choosing import Choice
from imgtool_prune.costs import Costs
from imgtool_prune.gathered import Gathered
from imgtool_prune.loss import paired_error
from imgtool_prune.methods import Dsnot, Obs, Wanda
from imgtool_prune.packages import gather
from imgtool_prune.patterns import Unstructured
from imgtool_prune.pruning import Pruning
from imgtool_prune.target import furthest, read_target, sparsity_for_cost

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgtool_prune.methods import Method

HELD_OUT = ("another", "and another", "and a third")
COSTS = Costs(dense=1000.0, layers={"a": 600.0, "b": 200.0}, masks={"a": 20.0, "b": 10.0})


def pruning(
    notes: Path,
    method: Method | None = None,
    spread: float | None = None,
    own: Mapping[str, float] | None = None,
) -> Pruning:
    denoiser = Denoiser()
    calibration = Calibration(Pipe(denoiser), denoiser, Trajectories(prompts(6), steps=2))
    choice = Choice(UNITS, Unstructured(0.5), dict(own or {}))
    return Pruning(method or Obs(), choice, split(UNITS, 2), calibration, notes, spread)


def cost(share: float) -> float:
    return COSTS.at({"a": share, "b": share})


@pytest.mark.parametrize(
    ("text", "kind", "amount", "share"),
    [
        ("12MB", "size", 12e6, False),
        ("1.5 GiB", "size", 1.5 * 2**30, False),
        ("3GFLOP", "flop", 3e9, False),
        ("60%FLOP", "flop", 0.6, True),
        ("60% of size", "size", 0.6, True),
        ("5%loss", "loss", 0.05, True),
    ],
)
def test_targets_say_what_they_mean(text: str, kind: str, amount: float, share: bool) -> None:
    target = read_target(text)

    assert (target.kind, target.amount, target.share) == (kind, pytest.approx(amount), share)


@pytest.mark.parametrize("text", ["12", "MB", "0MB", "12%", "12%MB", "5loss", "-1MB", "1e3MB"])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(BadParams, match="neither a size, a number of FLOPs nor a loss"):
        read_target(text)


def test_bisection_ends_on_the_side_that_holds() -> None:
    up = furthest(lambda x: x <= 0.3, 0.0, 1.0, 2**-10)
    down = furthest(lambda x: x >= 0.3, 1.0, 0.0, 2**-10)

    assert 0.3 - 2**-10 <= up <= 0.3 <= down <= 0.3 + 2**-10


def test_the_least_sparsity_that_meets_a_cost_is_found() -> None:
    found = sparsity_for_cost(read_target("50%size"), COSTS.dense, cost)

    assert found["cost"] == cost(found["sparsity"]) == pytest.approx(500, abs=0.1)
    assert found["cost"] <= 500
    assert COSTS.at({"a": 0.5, "b": 0.0}) == 720


@pytest.mark.parametrize("text", ["100%size", "2MB", "20%size"])
def test_costs_that_cannot_be_met_are_refused(text: str) -> None:
    with pytest.raises(BadParams, match=r"cannot be met: .* pruning leaves 27 % at the least"):
        sparsity_for_cost(read_target(text), COSTS.dense, cost)


def test_paired_error_is_relative_to_the_spread_of_dense_latents() -> None:
    one, two = torch.randn(2, 50, 8, 8, 8, generator=torch.Generator().manual_seed(0))

    assert paired_error(one, one).abs().max() == 0
    assert paired_error(one, two).shape == (50,)
    assert float(paired_error(3 * one, 3 * two).mean()) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("method", [Obs(), Wanda(), Dsnot()])
def test_a_layer_met_again_gives_what_it_gave_first(method: Method, tmp_path: Path) -> None:
    run = pruning(tmp_path)
    first = gather(Gathered(run.calibration, tmp_path), method, UNITS[:1])
    run.calibration.denoiser.second.weight.data.zero_()
    calls = run.calibration.denoiser.calls
    again = Gathered(run.calibration, tmp_path)
    seen = gather(again, method, UNITS[:1])

    assert run.calibration.denoiser.calls == calls
    assert len(again.alphas) == 2
    for path, accumulator in first.items():
        state = seen[path].state()
        assert state.keys() == accumulator.state().keys()
        assert all(state[name].equal(sums) for name, sums in accumulator.state().items())


def test_a_loss_is_met_from_one_calibration_and_noted(tmp_path: Path) -> None:
    run = pruning(tmp_path)
    result = run.run_to_loss(read_target("2%loss"), HELD_OUT)
    found = result.found["target"]
    losses = {float(sparsity): loss for sparsity, loss in found["losses"].items()}
    gathering, drawing = 2 * 2 * 2, 2

    assert losses[round(found["sparsity"], 6)] <= 0.02
    assert min(s for s, loss in losses.items() if loss > 0.02) - found["sparsity"] <= 2**-7
    assert run.calibration.denoiser.calls == gathering + drawing * (1 + len(losses))
    assert all(
        int((weight == 0).sum()) == round(found["sparsity"] * WIDTH**2)
        for weight in result.weights.values()
    )
    assert not list(tmp_path.glob("trial-*"))

    again = pruning(tmp_path)
    same = again.run_to_loss(read_target("2%loss"), HELD_OUT)
    assert again.calibration.denoiser.calls == 0
    assert same.found == result.found
    assert same.facts == result.facts


def test_a_trial_leaves_the_network_dense_for_the_next(tmp_path: Path) -> None:
    run = pruning(tmp_path / "low")
    low = run.run_to_loss(read_target("2%loss"), HELD_OUT).found["target"]
    other = (
        pruning(tmp_path / "high").run_to_loss(read_target("2.5%loss"), HELD_OUT).found["target"]
    )
    common = low["losses"].keys() & other["losses"].keys()

    assert low["sparsity"] < other["sparsity"]
    assert len(common) > 1
    assert all(low["losses"][s] == other["losses"][s] for s in common)


def test_a_loss_that_is_never_reached_prunes_the_most(tmp_path: Path) -> None:
    found = pruning(tmp_path).run_to_loss(read_target("10000%loss"), HELD_OUT).found["target"]

    assert found["sparsity"] == 0.95
    assert len(found["losses"]) == 1


def test_layers_keep_a_sparsity_of_their_own_in_every_trial(tmp_path: Path) -> None:
    run = pruning(tmp_path, spread=0.1, own={"second": 0.25})
    result = run.run_to_loss(read_target("2%loss"), HELD_OUT)
    found = result.found["target"]["sparsity"]
    shares = {path: float((result.weights[f"{path}.weight"] == 0).float().mean())
              for path in paths(UNITS)}  # fmt: skip
    free = [share for path, share in shares.items() if path != "second"]

    assert shares["second"] == 0.25
    assert sum(free) / 3 == pytest.approx(found, abs=0.01)
    assert max(free) - min(free) > 0.01
