"""Criteria of pruning, by how far each leads from what the dense model draws.

    python benchmarks/prune.py [--model tabletop] [--patterns 0.5,0.6,0.7,2:4,structured:0.2]
        [--methods obs,wanda] [--seeds 3] [--calibrate 64] [--prompts 32] [--steps 8]
        [--exclude '*.attn2.*'] [--figures figures.json] [--plot figures.png]
    python benchmarks/prune.py --sheet sheet.jpg --prompts 2 [--patterns ...]
    python benchmarks/prune.py --kinds --prompts 64 [--patterns ...]

Calibrated on the model's own captions, measured on held-out prompts. A seed has noise of its own
for both, and held-out prompts of its own. Columns, with 95 % bootstrap intervals over prompts:

    paired error  mean squared difference of final latents to the dense model's from the same noise,
                  relative to the variance of the dense ones
    above obs     paired error less that of `obs` for the same prompt: 0 outside is a difference
    right         share of prompts of which the tabletop judge sees every solid, and no other
    right - obs   the same less that of `obs`, prompt by prompt
    layer error   mean over pruned layers of the relative output error, all under the same Hessians,
                  with all steps alike

Layers are solved from statistics of the dense network that all criteria share, as `--packages 1`
solves them. `obs-4-packages` is pruned in four, with statistics of its own, and its processor time
is told; no package is less than a unit, of which `tabletop` has 42. `obs-log_increase` weighs steps
so, `obs-error` is `--allocation error`, `wanda-layer` has one threshold for a layer instead of one
for each row. Of heads and neurons (`structured:`), `zeroed` removes what `obs` does, without its
repair. Steps and guidance of calibration may be others than those that are measured with
(`--calibrate-steps`, `--calibrate-guidance`).

What a file of `--figures` holds is not measured again. `--sheet` measures nothing, and draws the
first held-out prompts by the dense model and by each criterion. `--kinds` measures the layer error
by kind of layer, on the inputs of calibration and on those of held-out prompts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import mean
from time import process_time
from typing import TYPE_CHECKING, Any

import torch
from prune_figures import STRUCTURED, Figures, plot, table
from torch import Tensor

from imgtool.api import Runtime, contact_sheet
from imgtool_prune.architectures import KIND, linear_at, paths, split
from imgtool_prune.budget import Budget
from imgtool_prune.calibration import Calibration, Trajectories
from imgtool_prune.choosing import left_to_prune
from imgtool_prune.criteria import magnitude_mask, output_error
from imgtool_prune.loss import paired_error
from imgtool_prune.makers import ModelParams
from imgtool_prune.masking import Masking
from imgtool_prune.methods import Dsnot, Magnitude, Method, Obs, Outcome, Wanda
from imgtool_prune.packages import Pruner, gather
from imgtool_prune.parts import choose_parts
from imgtool_prune.patterns import SemiStructured, Unstructured
from imgtool_prune.pipeline import denoiser_of, load_pipeline, open_source
from imgtool_prune.removal import L1Removal, ObsRemoval, Removal
from imgtool_prune.weighting import Weighting
from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.evaluate import held_out_cases
from imgtool_tabletop.judge import Judge, objects_right

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imgtool_prune.allocation import ErrorCurve
    from imgtool_prune.patterns import MaskPattern
    from imgtool_tabletop.evaluate import Case

    Weights = dict[str, Tensor]
    # Criteria by name, by pattern.
    Asked = Mapping[str, "dict[str, Criterion]"]

BATCH = 8
SPREAD = 0.2


@dataclass(frozen=True)
class Criterion:
    """One way to prune.

    Attributes
    ----------
    packages : each is gathered with those before it pruned; 0: all from shared statistics.
    by_error : spend the budget over layers by expected error.
    zeroed : leave what stays as it was.
    """

    method: Method | Removal
    weighting: Weighting = Weighting.UNIFORM
    packages: int = 0
    by_error: bool = False
    zeroed: bool = False


@dataclass(frozen=True)
class LayerWanda(Wanda):
    """Wanda with one threshold for a layer, as magnitude has, instead of one for each row."""

    def prune(
        self, weights: Sequence[Tensor], seen: Any, patterns: Sequence[MaskPattern]
    ) -> Outcome:
        """See `Method.prune`."""
        scale = seen.diagonal().float().sqrt()
        masks = [magnitude_mask(w * scale, p) for w, p in zip(weights, patterns, strict=True)]
        zeroed = [w.masked_fill(mask, 0) for w, mask in zip(weights, masks, strict=True)]
        return Outcome(zeroed, {})


LOG = Weighting.LOG_DECREASE
MASKS = {
    "obs": Criterion(Obs(), LOG),
    "sparsegpt": Criterion(Obs()),
    "wanda": Criterion(Wanda(), LOG),
    "dsnot": Criterion(Dsnot(), LOG),
    "magnitude": Criterion(Magnitude()),
    "obs-error": Criterion(Obs(), LOG, by_error=True),
    "wanda-layer": Criterion(LayerWanda(), LOG),
    **{f"obs-{weighting}": Criterion(Obs(), weighting) for weighting in Weighting},
    **{f"obs-{n}-packages": Criterion(Obs(), LOG, packages=n) for n in (1, 4, 16, 64)},
}
REMOVALS = {
    "obs": Criterion(ObsRemoval(), LOG),
    "zeroed": Criterion(ObsRemoval(), LOG, zeroed=True),
    "l1": Criterion(L1Removal()),
}
METHODS = "obs,sparsegpt,wanda,dsnot,magnitude,obs-error,zeroed,l1"


@dataclass(frozen=True)
class Settings:
    """All that figures depend on, but for the seed."""

    model: str
    calibrate: int
    calibrate_steps: int
    calibrate_guidance: float
    prompts: int
    steps: int
    guidance: float
    exclude: tuple[str, ...]


class Bench:
    """A model, its held-out prompts and the judge."""

    def __init__(self, settings: Settings) -> None:
        runtime = Runtime(device="cpu")
        source, _ = open_source(settings.model, runtime)
        adapter: Any = runtime.component(KIND, source.denoiser_class)()
        self.settings = settings
        self.pipe = load_pipeline(source, runtime)
        self.denoiser = denoiser_of(self.pipe, source)
        self.params = ModelParams(exclude=settings.exclude)
        self.units = left_to_prune(adapter.units(self.denoiser), self.params)
        self.structures = adapter.structures(self.denoiser)
        self.groups = [group for unit in self.units for group in unit.inputs]
        captions = (source.folder / "captions.txt").read_text().splitlines()
        self.captions = captions[: settings.calibrate]
        self.judge = Judge.load(WEIGHTS / "judge")
        self.known: dict[tuple[int, Weighting], dict[str, Any]] = {}
        self.dense = {
            path: linear_at(self.denoiser, path).weight.detach().clone()
            for path in paths(self.units)
        }

    def cases(self, seed: int) -> list[Case]:
        """The held-out prompts of a seed."""
        count = self.settings.prompts
        return held_out_cases(count * (seed + 1))[count * seed :]

    def calibration(self, seed: int, weighting: Weighting) -> Calibration:
        """Trajectories with the noise of a seed."""
        given = self.settings
        how = Trajectories(self.captions, given.calibrate_steps, given.calibrate_guidance, BATCH,
                           10_000 * seed, weighting)  # fmt: skip
        return Calibration(self.pipe, self.denoiser, how)

    def statistics(self, seed: int, weighting: Weighting) -> dict[str, Any]:
        """What every criterion needs, of the dense network, by the first layer of an input."""
        if (seed, weighting) not in self.known:
            self.restore({})
            calibration = self.calibration(seed, weighting)
            self.known[seed, weighting] = gather(calibration, Dsnot(), self.units)
        return self.known[seed, weighting]

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

    def packaged(
        self, criterion: Criterion, seed: int, patterns: Mapping[str, MaskPattern]
    ) -> Weights:
        """New weights of all layers, of which later ones saw what earlier ones became."""
        self.restore({})
        assert not isinstance(criterion.method, Removal)
        solver = Masking(criterion.method, patterns)
        with tempfile.TemporaryDirectory() as notes:
            pruner = Pruner(solver, self.calibration(seed, criterion.weighting), Path(notes))
            pruner.run(split(self.units, criterion.packages))
        return {path: linear_at(self.denoiser, path).weight.detach().clone() for path in patterns}

    def removed(self, criterion: Criterion, seen: dict[str, Any], share: float) -> Weights:
        """New weights of output projections, zero where heads and neurons are gone."""
        self.restore({})
        assert isinstance(criterion.method, Removal)
        given = replace(self.params, sparsity=share)
        parts = choose_parts(criterion.method, self.structures, given, multiple=1)
        solver, left = parts.removing(share), dict(seen)
        found = {
            solved.path: solved.weight
            for unit in parts.units
            for solved in solver.solve(self.denoiser, unit, left)
        }
        if criterion.zeroed:
            return {path: self.dense[path] * (weight != 0) for path, weight in found.items()}
        return found

    def pruned(self, pattern: str, criterion: Criterion, seed: int) -> Weights:
        """New weights of what the criterion changes."""
        if criterion.packages:
            alike = dict.fromkeys(self.dense, read_pattern(pattern))
            return self.packaged(criterion, seed, alike)
        seen = self.statistics(seed, criterion.weighting)
        if isinstance(criterion.method, Removal):
            return self.removed(criterion, seen, float(pattern.removeprefix(STRUCTURED)))
        if criterion.by_error:
            assert isinstance(criterion.method, Obs)
            return self.allocated(criterion.method, seen, float(pattern))
        return self.masked(criterion.method, seen, dict.fromkeys(self.dense, read_pattern(pattern)))

    def layer_errors(self, weights: Weights, seen: Mapping[str, Any]) -> dict[str, float]:
        """Relative output error of each layer on the inputs that `seen` gathered."""
        errors = {}
        for group in self.groups:
            hessian = seen[group[0]].matrix()
            for path in (path for path in group if path in weights):
                energy = output_error(self.dense[path].float(), hessian)
                errors[path] = output_error(self.dense[path] - weights[path], hessian) / energy
        return errors

    def restore(self, weights: Weights) -> None:
        """Take these weights, and the dense ones for all other layers."""
        for path, weight in {**self.dense, **weights}.items():
            linear_at(self.denoiser, path).weight.data.copy_(weight)

    def drawn(self, weights: Weights, seed: int) -> tuple[Tensor, Tensor]:
        """Latents [N, C, h, w] of the seed's held-out prompts, and pictures [N, 3, H, W], 0..1."""
        self.restore(weights)
        given, prompts = self.settings, [case.prompt for case in self.cases(seed)]
        how = Trajectories(prompts, given.steps, given.guidance, BATCH)
        drawing = Calibration(self.pipe, self.denoiser, how)
        latents = torch.cat(drawing.draw(prompts, 10_000 * seed + 5_000))
        config = self.pipe.vae.config
        shift = getattr(config, "shift_factor", None) or 0.0
        decoded = self.pipe.vae.decode(latents / config.scaling_factor + shift).sample
        return latents, (decoded / 2 + 0.5).clamp(0, 1)

    def right(self, pictures: Tensor, seed: int) -> list[float]:
        """Whether each of the seed's pictures shows its prompt."""
        read = zip(self.judge.read(pictures), self.cases(seed), strict=True)
        return [float(objects_right(objects, case.objects)) for objects, case in read]


def read_pattern(text: str) -> MaskPattern:
    """`0.5` or `2:4`."""
    keep, _, group = text.partition(":")
    return SemiStructured(int(keep), int(group)) if group else Unstructured(float(text))


def criteria(pattern: str, methods: Sequence[str]) -> dict[str, Criterion]:
    """Those of `methods` that can make the pattern, in their order."""
    known = REMOVALS if pattern.startswith(STRUCTURED) else MASKS
    chosen = {name: known[name] for name in methods if name in known}
    return {name: each for name, each in chosen.items() if not each.by_error or ":" not in pattern}


def measure(bench: Bench, asked: Asked, seed: int, to: Figures) -> None:
    """Whatever of one seed is not known yet."""
    dense, pictures = bench.drawn({}, seed)
    if not to.has("dense", seed):
        to.add("dense", seed, right=bench.right(pictures, seed))
    for pattern, those in asked.items():
        for method, criterion in those.items():
            name = f"{pattern} {method}"
            if to.has(name, seed):
                continue
            began = process_time()
            weights = bench.pruned(pattern, criterion, seed)
            seconds = process_time() - began if criterion.packages else 0.0
            latents, pictures = bench.drawn(weights, seed)
            errors, right = paired_error(dense, latents).tolist(), bench.right(pictures, seed)
            layers = bench.layer_errors(weights, bench.statistics(seed, Weighting.UNIFORM))
            layer_error = mean(layers.values())
            to.add(name, seed, errors=errors, right=right, layer_error=layer_error, seconds=seconds)
            sys.stderr.write(f"seed {seed}: {name} {sum(errors) / len(errors):.3f}\n")


def sheet(bench: Bench, asked: Asked, file: Path) -> None:
    """Held-out prompts of seed 0 by the dense model and by each criterion, a row a pattern."""
    columns = max(map(len, asked.values()))
    _, dense = bench.drawn({}, 0)
    rows = []
    for pattern, those in asked.items():
        row = [("dense", dense)]
        for method, criterion in those.items():
            _, pictures = bench.drawn(bench.pruned(pattern, criterion, 0), 0)
            row.append((f"{pattern} {method}", pictures))
        rows.append([*row, *[("", torch.ones_like(dense))] * (columns - len(those))])
    cells = [
        (name, pictures[at]) for at in range(len(dense)) for row in rows for name, pictures in row
    ]
    images = [(255 * picture).round().byte().permute(1, 2, 0).numpy() for _, picture in cells]
    labels = [name for name, _ in cells]
    contact_sheet(images, labels, columns=1 + columns, cell=96).save(file, quality=85)


KINDS = {
    "self-attention": ".attn1.",
    "queries and out of cross-attention": ".attn2.to_[qo]",
    "keys and values of cross-attention": ".attn2.to_[kv]",
    "feed-forward": ".ff.",
}


def by_kind(bench: Bench, asked: Asked) -> Iterator[str]:
    """Lines of mean layer errors of seed 0: on what was calibrated with, and on what was not."""
    known = bench.statistics(0, Weighting.UNIFORM)
    prompts = [case.prompt for case in bench.cases(0)]
    bench.restore({})
    held_out = replace(bench.calibration(1, Weighting.UNIFORM).trajectories, prompts=prompts)
    fresh = gather(Calibration(bench.pipe, bench.denoiser, held_out), Dsnot(), bench.units)
    yield f"{'':70} calibrated  held out"
    for pattern, those in asked.items():
        for method, criterion in those.items():
            weights = bench.pruned(pattern, criterion, 0)
            found = [bench.layer_errors(weights, seen) for seen in (known, fresh)]
            for kind, glob in KINDS.items():
                alike = [path for path in weights if fnmatchcase(path, f"*{glob}*")]
                if alike:
                    old, new = (mean(errors[path] for path in alike) for errors in found)
                    yield f"{pattern:16} {method:16} {kind:36} {old:10.4f} {new:9.4f}"


def main() -> None:
    """Print the table, or draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="tabletop")
    parser.add_argument(
        "--patterns", default="0.3,0.5,0.6,0.7,2:4,structured:0.1,structured:0.2,structured:0.3"
    )
    parser.add_argument("--methods", default=METHODS, help=f"of {', '.join({**MASKS, **REMOVALS})}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--calibrate", type=int, default=64, help="captions to calibrate with")
    parser.add_argument("--calibrate-steps", type=int, help="if others than --steps")
    parser.add_argument("--calibrate-guidance", type=float, help="if another than --guidance")
    parser.add_argument("--prompts", type=int, default=32, help="held-out prompts of a seed")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=4.5)
    parser.add_argument("--exclude", action="append", default=[], help="layers that stay dense")
    parser.add_argument("--figures", type=Path, help="keep every figure here")
    parser.add_argument("--plot", type=Path, help="draw the table here; needs matplotlib")
    parser.add_argument("--sheet", type=Path, help="draw pictures here, and measure nothing")
    parser.add_argument("--kinds", action="store_true", help="tell layer errors by kind alone")
    given = parser.parse_args()
    guidance = given.calibrate_guidance
    settings = Settings(
        model=given.model,
        calibrate=given.calibrate,
        calibrate_steps=given.calibrate_steps or given.steps,
        calibrate_guidance=given.guidance if guidance is None else guidance,
        prompts=given.prompts,
        steps=given.steps,
        guidance=given.guidance,
        exclude=tuple(given.exclude),
    )
    methods = given.methods.split(",")
    asked = {pattern: criteria(pattern, methods) for pattern in given.patterns.split(",")}
    torch.set_grad_enabled(False)
    if given.sheet:
        sheet(Bench(settings), asked, given.sheet)
        return
    if given.kinds:
        print("\n".join(by_kind(Bench(settings), asked)))
        return
    found = Figures(asdict(settings), given.seeds, given.figures)
    names = ["dense", *(f"{pattern} {name}" for pattern, those in asked.items() for name in those)]
    missing = [s for s in range(given.seeds) if not all(found.has(name, s) for name in names)]
    bench = Bench(settings) if missing else None
    for seed in missing:
        assert bench is not None
        measure(bench, asked, seed, found)
    shown = {pattern: list(those) for pattern, those in asked.items()}
    print("\n".join(table(found, shown)))
    if given.plot:
        plot(found, shown, given.plot)


if __name__ == "__main__":
    main()
