"""Criteria of pruning on `tabletop`: how far each leads from what the dense model draws.

    python benchmarks/prune.py [--patterns 0.5,0.6,0.7,2:4,structured:0.2] [--seeds 1]
        [--calibrate 64] [--prompts 40] [--steps 8] [--exclude '*.attn2.*'] [--json figures.json]

Calibrated on the model's own captions, measured on held-out ones with other noise. A seed is that
of the noise of both. Columns, with 95 % bootstrap intervals over prompts and seeds:

    paired error  mean squared difference of final latents to the dense model's from the same noise,
                  relative to the variance of the dense ones
    right         share of prompts of which the tabletop judge sees every solid, and no other
    layer error   mean over pruned layers of the relative output error, all under the same Hessians

All layers are solved from statistics of the dense network, as `--packages 1` does. `zeroed` removes
the heads and neurons that `obs` does, without its repair. `obs by error` is `--allocation error`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from imgtool.api import Runtime
from imgtool_prune.architectures import linear_at, paths
from imgtool_prune.budget import Budget
from imgtool_prune.calibration import Calibration, Trajectories
from imgtool_prune.choosing import left_to_prune
from imgtool_prune.criteria import output_error
from imgtool_prune.loss import paired_error
from imgtool_prune.makers import ModelParams
from imgtool_prune.methods import Dsnot, Magnitude, Method, Obs, Wanda
from imgtool_prune.packages import gather
from imgtool_prune.parts import choose_parts
from imgtool_prune.patterns import SemiStructured, Unstructured
from imgtool_prune.pipeline import denoiser_of, load_pipeline, open_source
from imgtool_prune.removal import L1Removal, ObsRemoval, Removal
from imgtool_prune.removing import Removing
from imgtool_prune.unet import UNet
from imgtool_prune.weighting import Weighting
from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.evaluate import held_out_cases
from imgtool_tabletop.judge import Judge, objects_right

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imgtool_prune.allocation import ErrorCurve
    from imgtool_prune.patterns import MaskPattern

Weights = dict[str, Tensor]
Prune = Callable[[dict[str, Any]], Weights]
LOG, UNIFORM = Weighting.LOG_DECREASE, Weighting.UNIFORM
METHODS: dict[str, tuple[Method, Weighting]] = {
    "obs": (Obs(), LOG),
    "sparsegpt": (Obs(), UNIFORM),
    "dsnot": (Dsnot(), LOG),
    "wanda": (Wanda(), LOG),
    "magnitude": (Magnitude(), UNIFORM),
}
REMOVALS: dict[str, tuple[Removal, Weighting]] = {
    "obs": (ObsRemoval(), LOG),
    "zeroed": (ObsRemoval(), LOG),
    "l1": (L1Removal(), UNIFORM),
}
BATCH = 8
SPREAD = 0.2


@dataclass
class Measured:
    """One method at one pattern, over all prompts and seeds."""

    errors: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    layer_errors: list[float] = field(default_factory=list)


class Bench:
    """The model, its held-out prompts and the judge."""

    def __init__(self, calibrate: int, prompts: int, steps: int, exclude: tuple[str, ...]) -> None:
        runtime = Runtime(device="cpu")
        source, _ = open_source("tabletop", runtime)
        self.pipe = load_pipeline(source, runtime)
        self.denoiser = denoiser_of(self.pipe, source)
        self.params = ModelParams(exclude=exclude)
        self.units = left_to_prune(UNet().units(self.denoiser), self.params)
        self.groups = [group for unit in self.units for group in unit.inputs]
        self.captions = (source.folder / "captions.txt").read_text().splitlines()[:calibrate]
        self.guidance, self.steps = source.advice["guidance"], steps
        self.cases = held_out_cases(prompts)
        self.judge = Judge.load(WEIGHTS / "judge")
        self.dense = {
            path: linear_at(self.denoiser, path).weight.detach().clone()
            for path in paths(self.units)
        }

    def calibration(self, seed: int, weighting: Weighting = UNIFORM) -> Calibration:
        """Trajectories with the noise of a seed."""
        given = Trajectories(
            self.captions, self.steps, self.guidance, BATCH, 10_000 * seed, weighting
        )
        return Calibration(self.pipe, self.denoiser, given)

    def statistics(self, seed: int, weighting: Weighting) -> dict[str, Any]:
        """What every criterion needs, of the dense network, by the first layer of an input."""
        self.restore({})
        return dict(gather(self.calibration(seed, weighting), Dsnot(), self.units))

    def masked(
        self, method: Method, seen: dict[str, Any], patterns: Mapping[str, MaskPattern]
    ) -> Weights:
        """New weights of all layers; `patterns` by path."""
        weights: Weights = {}
        for group in self.groups:
            known = seen[group[0]].moments if isinstance(method, Wanda) else seen[group[0]]
            before = [self.dense[path].float() for path in group]
            pruned = method.prune(before, known, [patterns[path] for path in group]).weights
            weights |= zip(group, pruned, strict=True)
        return weights

    def allocated(self, method: Obs, seen: dict[str, Any], sparsity: float) -> Weights:
        """New weights of all layers, with the budget spent by expected error."""
        curves: dict[str, ErrorCurve] = {}
        for group in self.groups:
            before = [self.dense[path].float() for path in group]
            curves |= zip(group, method.curves(before, seen[group[0]]), strict=True)
        shares = Budget({}, list(curves), curves, SPREAD).shares(sparsity)
        return self.masked(method, seen, {at: Unstructured(s) for at, s in shares.items()})

    def removed(self, removal: Removal, seen: dict[str, Any], share: float) -> Weights:
        """New weights of output projections, zero where heads and neurons are gone."""
        self.restore({})
        units = UNet().structures(self.denoiser)
        parts = choose_parts(removal, units, replace(self.params, sparsity=share), multiple=1)
        solver, left = Removing(removal, parts.counts), dict(seen)
        return {
            solved.path: solved.weight
            for unit in parts.units
            for solved in solver.solve(self.denoiser, unit, left)
        }

    def prunings(self, pattern: str) -> Iterator[tuple[str, Weighting, Prune]]:
        """Name of a criterion, weighting of its statistics, and what turns these into weights."""
        share = pattern.removeprefix("structured:")
        if share == pattern:
            alike = dict.fromkeys(self.dense, read_pattern(pattern))
            for name, (method, weighting) in METHODS.items():
                yield name, weighting, partial(self.masked, method, patterns=alike)
            if ":" not in pattern:
                yield "obs by error", LOG, partial(self.allocated, Obs(), sparsity=float(pattern))
            return
        for name, (removal, weighting) in REMOVALS.items():
            solve = partial(self.removed, removal, share=float(share))
            yield name, weighting, self.zeroed(solve) if name == "zeroed" else solve

    def zeroed(self, solve: Prune) -> Prune:
        """The zeros that `solve` makes, in weights that are not repaired."""
        return lambda seen: {
            path: self.dense[path] * (weight != 0) for path, weight in solve(seen).items()
        }

    def layer_error(self, weights: Weights, seen: dict[str, Any]) -> float:
        """Mean relative output error of layers."""
        errors = []
        for group in self.groups:
            hessian = seen[group[0]].matrix()
            for path in (path for path in group if path in weights):
                energy = output_error(self.dense[path].float(), hessian)
                errors.append(output_error(self.dense[path] - weights[path], hessian) / energy)
        return sum(errors) / len(errors)

    def restore(self, weights: Weights) -> None:
        """Take these weights, and the dense ones for all other layers."""
        for path, weight in {**self.dense, **weights}.items():
            linear_at(self.denoiser, path).weight.data.copy_(weight)

    def drawn(self, weights: Weights, seed: int) -> tuple[Tensor, list[float]]:
        """Latents [N, C, h, w] of the held-out prompts, and whether each picture is right."""
        self.restore(weights)
        prompts = [case.prompt for case in self.cases]
        latents = torch.cat(self.calibration(0).draw(prompts, 10_000 * seed + 5_000))
        decoded = self.pipe.vae.decode(latents / self.pipe.vae.config.scaling_factor).sample
        seen = self.judge.read((decoded / 2 + 0.5).clamp(0, 1))
        return latents, [
            float(objects_right(objects, case.objects))
            for objects, case in zip(seen, self.cases, strict=True)
        ]


def interval(values: list[float], draws: int = 2000) -> tuple[float, float, float]:
    """Mean and its 95 % bootstrap interval."""
    every = torch.tensor(values, dtype=torch.float64)
    picked = torch.randint(
        len(every), (draws, len(every)), generator=torch.Generator().manual_seed(0)
    )
    low, high = every[picked].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return float(every.mean()), float(low), float(high)


def read_pattern(text: str) -> MaskPattern:
    """`0.5` or `2:4`."""
    keep, _, group = text.partition(":")
    return SemiStructured(int(keep), int(group)) if group else Unstructured(float(text))


def measure(bench: Bench, patterns: list[str], seeds: int) -> dict[str, Measured]:
    """All methods at all patterns, by `pattern method`; `dense` is the model as it is."""
    found: dict[str, Measured] = {"dense": Measured()}
    for seed in range(seeds):
        dense, right = bench.drawn({}, seed)
        found["dense"].right += right
        seen = {weighting: bench.statistics(seed, weighting) for weighting in (LOG, UNIFORM)}
        for pattern in patterns:
            for name, weighting, prune in bench.prunings(pattern):
                weights = prune(seen[weighting])
                latents, right = bench.drawn(weights, seed)
                measured = found.setdefault(f"{pattern} {name}", Measured())
                measured.errors += paired_error(dense, latents).tolist()
                measured.right += right
                measured.layer_errors.append(bench.layer_error(weights, seen[UNIFORM]))
                sys.stderr.write(f"seed {seed}: {line(f'{pattern} {name}', measured)}\n")
    return found


def line(name: str, measured: Measured) -> str:
    """A row of the table."""
    right = "{:5.1%} [{:5.1%}, {:5.1%}]".format(*interval(measured.right))
    if not measured.errors:
        return f"{name:24} {'':22} {right}"
    error = "{:.3f} [{:.3f}, {:.3f}]".format(*interval(measured.errors))
    layer = sum(measured.layer_errors) / len(measured.layer_errors)
    return f"{name:24} {error:22} {right}  {layer:.4f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--patterns", default="0.5,0.6,0.7,2:4,structured:0.1,structured:0.2,structured:0.3"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--calibrate", type=int, default=64, help="captions to calibrate with")
    parser.add_argument("--prompts", type=int, default=40, help="held-out prompts to measure with")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--exclude", action="append", default=[], help="layers that stay dense")
    parser.add_argument("--json", type=Path, help="write every figure here")
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    bench = Bench(given.calibrate, given.prompts, given.steps, tuple(given.exclude))
    found = measure(bench, given.patterns.split(","), given.seeds)
    print(f"{'':24} {'paired error':22} {'right':22} layer error")
    for name, measured in found.items():
        print(line(name, measured))
    if given.json:
        figures = {name: vars(measured) for name, measured in found.items()}
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
