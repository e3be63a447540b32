"""Packages, calibration and resuming: oracle T8, T17, T18 and rows of the failure table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from toy_pipe import UNITS, WIDTH, Denoiser, Pipe, noise, prompts

from imgtool.api import ModelUnusable, OutOfMemory, StageFailed
from imgtool_prune.architectures import Unit, linear_at, paths, split, without
from imgtool_prune.budget import Budget, expected_errors
from imgtool_prune.calibration import Calibration, Trajectories
from imgtool_prune.masking import Masking
from imgtool_prune.methods import Magnitude, Obs
from imgtool_prune.packages import Pruner, hessian_bytes
from imgtool_prune.patterns import Unstructured
from imgtool_prune.statistics import Hessian
from imgtool_prune.weighting import step_weights

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool_prune.methods import Method
    from imgtool_prune.packages import Facts

Result = tuple[dict[str, torch.Tensor], "Facts"]


def pruner(notes: Path, method: Method | None = None, batch: int = 4, extra: int = 0) -> Pruner:
    denoiser = Denoiser()
    trajectories = Trajectories(prompts(6), steps=3, batch=batch)
    calibration = Calibration(Pipe(denoiser, extra), denoiser, trajectories)
    patterns = dict.fromkeys([*paths(UNITS), "unused"], Unstructured(0.5))
    return Pruner(Masking(method or Obs(), patterns), calibration, notes)


def test_units_are_split_into_neighbours_the_first_longer() -> None:
    units = [Unit(str(i), ((str(i),),)) for i in range(7)]

    assert [len(package) for package in split(units, 3)] == [3, 2, 2]
    assert paths([unit for package in split(units, 3) for unit in package]) == list("0123456")
    assert len(split(units, 20)) == 7
    assert split([], 4) == []


def test_excluded_layers_leave_their_unit_and_empty_units_go() -> None:
    assert without(UNITS, ["first.a", "second"]) == [Unit("first", (("first.b",),)), UNITS[1]]


@pytest.mark.parametrize(("batch", "count"), [(4, 1), (4, 3), (6, 2)])
def test_each_package_costs_one_run_over_all_prompts(
    tmp_path: Path, batch: int, count: int
) -> None:
    run = pruner(tmp_path, batch=batch)
    packages = split(UNITS, count)
    run.run(packages)
    batches = -(-6 // batch)

    assert run.denoiser.calls == len(packages) * batches * 3
    assert not any(module._forward_pre_hooks for module in run.denoiser.modules())


def test_the_first_unit_is_the_same_for_any_number_of_packages(tmp_path: Path) -> None:
    weights = [pruner(tmp_path / str(n)).run(split(UNITS, n))[0] for n in (1, 2, 3)]

    for other in weights[1:]:
        assert other["first.a.weight"].equal(weights[0]["first.a.weight"])
    assert not weights[2]["second.weight"].equal(weights[0]["second.weight"])


def test_later_packages_see_what_earlier_ones_did(tmp_path: Path) -> None:
    run = pruner(tmp_path)
    weights, facts = run.run(split(UNITS, 3))

    for name, weight in weights.items():
        assert run.denoiser.state_dict()[name].equal(weight)
    assert [layer["package"] for layer in facts.layers] == [0, 0, 1, 2]
    assert {layer["zeros"] / layer["weights"] for layer in facts.layers} == {0.5}


def test_statistics_weigh_steps_and_start_from_each_prompts_own_noise() -> None:
    denoiser = Denoiser()
    calibration = Calibration(
        Pipe(denoiser), denoiser, Trajectories(prompts(2), 3, seed=5, batch=1)
    )
    gathered = Hessian(WIDTH, torch.float64)
    calibration.gather({"first.a": gathered})

    alphas, direct = step_weights(3), torch.zeros(WIDTH, WIDTH, dtype=torch.float64)
    for seed in (5, 6):
        x = noise(seed)[None]
        for alpha in alphas:
            flat = x[0].double()
            direct += alpha * flat.T @ flat
            with torch.no_grad():
                x = denoiser(x) * 0.9
    torch.testing.assert_close(gathered.matrix(), direct / sum(alphas), rtol=1e-6, atol=1e-9)
    assert calibration.alphas == alphas


def test_schedulers_that_evaluate_more_often_have_a_weight_each_time(tmp_path: Path) -> None:
    run = pruner(tmp_path, extra=2)
    _, facts = run.run(split(UNITS, 1))

    assert facts.alphas == step_weights(5)


def test_options_left_open_are_the_pipelines_own() -> None:
    denoiser = Denoiser()
    pipe = Pipe(denoiser)
    Calibration(pipe, denoiser, Trajectories(prompts(1))).gather({"second": Hessian(WIDTH)})
    Calibration(pipe, denoiser, Trajectories(prompts(1), guidance=2.0)).gather({})

    assert "guidance_scale" not in pipe.given[0]
    assert pipe.given[1]["guidance_scale"] == 2.0
    assert denoiser.calls == 6


class Killed(BaseException):
    """As a signal would."""


def test_a_killed_pruning_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    packages = split(UNITS, 3)
    whole, facts = pruner(tmp_path / "whole").run(packages)
    killed = pruner(tmp_path / "killed")
    gather, runs = killed.calibration.gather, []

    def gather_twice(wanted: dict[str, Hessian]) -> None:
        if len(runs) == 2:
            raise Killed
        runs.append(wanted)
        gather(wanted)

    killed.calibration.gather = gather_twice  # type: ignore[method-assign]
    with pytest.raises(Killed):
        killed.run(packages)
    again = pruner(tmp_path / "killed")
    weights, same = again.run(packages)

    assert same == facts
    assert all(weights[name].equal(whole[name]) for name in whole)
    assert again.denoiser.calls == 2 * 3
    done = pruner(tmp_path / "killed")
    assert done.run(packages)[1] == facts
    assert done.denoiser.calls == 0


def test_the_same_seed_gives_the_same_bytes_and_another_batch_nearly_so(tmp_path: Path) -> None:
    first, again, other = (
        pruner(tmp_path / str(n), batch=batch).run(split(UNITS, 1))
        for n, batch in enumerate((4, 4, 1))
    )

    assert all(again[0][name].equal(weight) for name, weight in first[0].items())
    for here, there in zip(first[1].layers, other[1].layers, strict=True):
        assert here["relative_error"] == pytest.approx(there["relative_error"], rel=1e-4)


def shares(run: Pruner, spread: float, sparsity: float = 0.5) -> dict[str, float]:
    packages = split(UNITS, 2)
    curves = expected_errors(run.calibration, Obs(), packages, run.notes)
    return Budget({}, list(curves), curves, spread).shares(sparsity)


def test_a_budget_is_spent_within_bounds_by_errors_of_the_whole_network(tmp_path: Path) -> None:
    run = pruner(tmp_path)
    run.denoiser.second.weight.data[:, ::2] *= 1e-3
    before = {name: weight.clone() for name, weight in run.denoiser.state_dict().items()}
    found = shares(run, 0.2)

    assert list(found) == paths(UNITS)
    assert sum(found.values()) / 4 == pytest.approx(0.5)
    assert all(0.3 <= share <= 0.7 for share in found.values())
    assert found["second"] == pytest.approx(0.7)
    assert all(weight.equal(before[name]) for name, weight in run.denoiser.state_dict().items())
    assert set(shares(run, 0.0).values()) == {0.5}


def test_errors_that_are_noted_are_not_gathered_again(tmp_path: Path) -> None:
    first = shares(pruner(tmp_path), 0.2)
    again = pruner(tmp_path)

    assert shares(again, 0.2) == first
    assert again.denoiser.calls == 0


def test_no_layer_loses_everything_to_a_budget(tmp_path: Path) -> None:
    run = pruner(tmp_path)
    run.denoiser.second.weight.data.zero_()

    assert shares(run, 0.5, 0.8)["second"] == 0.95
    assert set(shares(run, 0.5, 0.97).values()) == {0.97}


def test_magnitude_needs_no_run(tmp_path: Path) -> None:
    run = pruner(tmp_path, Magnitude())
    weights, facts = run.run(split(UNITS, 1))

    assert run.denoiser.calls == 0
    assert facts.alphas == []
    assert int((weights["second.weight"] == 0).sum()) == WIDTH**2 // 2


def test_a_layer_that_saw_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="'unused' saw no input"):
        pruner(tmp_path).run([[Unit("", (("unused",),))]])


def test_numbers_that_are_not_finite_are_named_with_layer_and_step(tmp_path: Path) -> None:
    run = pruner(tmp_path)
    run.denoiser.second.bias.data[:] = torch.inf
    with pytest.raises(StageFailed, match=r"'first\.a', step 2: .*not finite"):
        run.run(split(UNITS, 1))
    assert not any(module._forward_pre_hooks for module in run.denoiser.modules())


def test_weights_that_do_not_fit_their_precision_are_refused(tmp_path: Path) -> None:
    class Exploding(Magnitude):
        def prune(self, weights, seen, patterns):
            outcome = super().prune(weights, seen, patterns)
            return type(outcome)([weight * 1e9 for weight in outcome.weights], {})

    run = pruner(tmp_path, Exploding())
    run.denoiser.half()
    with pytest.raises(
        StageFailed, match=r"'first\.a': repaired weights do not fit torch\.float16"
    ):
        run.run(split(UNITS, 1))


def test_a_hessian_without_factor_names_its_layers(tmp_path: Path) -> None:
    class Hopeless(Obs):
        def prune(self, weights, seen, patterns):
            raise ArithmeticError("no Cholesky factor")

    with pytest.raises(StageFailed, match=r"first\.a, first\.b: no Cholesky factor"):
        pruner(tmp_path, Hopeless()).run(split(UNITS, 1))


def test_a_wrapped_layer_is_refused() -> None:
    class Wrapped(torch.nn.Linear):
        """As a LoRA or a quantiser makes it."""

    denoiser = Denoiser()
    denoiser.second = Wrapped(WIDTH, WIDTH)
    with pytest.raises(ModelUnusable, match="'second' is Wrapped"):
        linear_at(denoiser, "second")


def test_hessians_without_room_say_what_fits(tmp_path: Path) -> None:
    class Large(Obs):
        room = 2

        def accumulator(self, width, device):
            Large.room -= 1
            if Large.room < 0:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().accumulator(width, device)

    with pytest.raises(OutOfMemory, match=r"take 1\.6e-06 GiB, and 1\.1e-06 fit") as caught:
        pruner(tmp_path, Large()).run(split(UNITS, 1))
    assert caught.value.hint.startswith("Try --packages 0 --memory 1.1e-06")


def test_few_tokens_for_many_channels_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = pruner(tmp_path)
    few = Calibration(run.calibration.pipe, run.denoiser, Trajectories(prompts(2), steps=1))
    Pruner(run.solver, few, tmp_path).run(split(UNITS, 1))

    assert "'first.out': 10 tokens for 12 channels" in caplog.text


def test_layers_of_one_package_may_come_in_any_order(tmp_path: Path) -> None:
    there = pruner(tmp_path / "there").run([UNITS])[0]
    back = pruner(tmp_path / "back").run([UNITS[::-1]])[0]

    assert there.keys() == back.keys()
    assert all(weight.equal(back[name]) for name, weight in there.items())


def test_memory_is_that_of_distinct_inputs() -> None:
    assert hessian_bytes(Denoiser(), UNITS) == 3 * 4 * WIDTH**2
