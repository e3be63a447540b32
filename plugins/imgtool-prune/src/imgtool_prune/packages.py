"""Pruning a denoiser package by package: gather, solve, write back, note, go on.

A package's statistics are gathered with all packages before it pruned. What is done lies in a
folder of notes, so that a killed pruning goes on at the first package that is not.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from imgtool.api import StageFailed, write_file
from imgtool_prune.architectures import linear_at, paths
from imgtool_prune.criteria import output_error
from imgtool_prune.statistics import Hessian

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from imgtool_prune.architectures import Unit
    from imgtool_prune.calibration import Calibration
    from imgtool_prune.methods import Method
    from imgtool_prune.patterns import MaskPattern
    from imgtool_prune.statistics import Accumulator

log = logging.getLogger("imgtool.prune")


@dataclass(frozen=True)
class Facts:
    """What is to report of packages.

    Attributes
    ----------
    alphas : weights of the denoiser's evaluations; empty where nothing was calibrated.
    layers : a record each.
    """

    alphas: list[float]
    layers: list[dict[str, Any]]


@dataclass(frozen=True)
class Pruner:
    """One pruning of one denoiser.

    Attributes
    ----------
    patterns : by path of layer.
    notes : folder for finished packages; of this pruning alone.
    """

    method: Method
    patterns: Mapping[str, MaskPattern]
    calibration: Calibration
    notes: Path

    @property
    def denoiser(self) -> nn.Module:
        """The net; its weights change as packages are done."""
        return self.calibration.denoiser

    def run(self, packages: Sequence[Sequence[Unit]]) -> tuple[dict[str, Tensor], Facts]:
        """New weights by their name in the state, and what to report.

        Raises
        ------
        StageFailed : a layer saw no input, or cannot be pruned.
        """
        weights: dict[str, Tensor] = {}
        facts = Facts([], [])
        for number, package in enumerate(packages):
            file = self.notes / f"package-{number:04d}.safetensors"
            if not file.is_file():
                self._prune(package, number, file)
            state, found = _read(file)
            for path in paths(package):
                layer = linear_at(self.denoiser, path)
                layer.weight.data.copy_(state[f"{path}.weight"])
            weights |= state
            facts = Facts(found.alphas, facts.layers + found.layers)
            log.info("package %d of %d: %d layers", number + 1, len(packages), len(found.layers))
        return weights, facts

    def _prune(self, package: Sequence[Unit], number: int, file: Path) -> None:
        seen = gather(self.calibration, self.method, package)
        state: dict[str, Tensor] = {}
        records = []
        for unit in package:
            for group in unit.inputs:
                for path, weight, record in self._solve(group, seen.pop(group[0], None)):
                    state[f"{path}.weight"] = weight
                    records.append({"path": path, "block": unit.block, "package": number, **record})
        _write(file, state, Facts(self.calibration.alphas, records))

    def _solve(
        self, group: Sequence[str], seen: Accumulator | None
    ) -> Iterator[tuple[str, Tensor, dict[str, Any]]]:
        layers = [linear_at(self.denoiser, path) for path in group]
        before = [layer.weight.data.float() for layer in layers]
        try:
            outcome = self.method.prune(before, seen, [self.patterns[path] for path in group])
        except (ValueError, ArithmeticError) as err:
            raise StageFailed(
                f"layers {', '.join(group)}: {err}", "Give more prompts, or more --damping"
            ) from err
        for path, layer, old, solved in zip(group, layers, before, outcome.weights, strict=True):
            new = solved.to(layer.weight.dtype)
            if not new.isfinite().all():
                raise StageFailed(
                    f"layer {path!r}: repaired weights do not fit {new.dtype}",
                    "Try --dtype float32",
                )
            yield path, new.cpu(), {**_record(old, new.float(), seen), **outcome.facts}


def gather(
    calibration: Calibration, method: Method, package: Sequence[Unit]
) -> dict[str, Accumulator]:
    """Statistics for `method`, by the first layer of those that share an input.

    Raises
    ------
    StageFailed : a layer saw no input, or one that is not finite.
    """
    wanted: dict[str, Accumulator] = {}
    for unit in package:
        for first, *_ in unit.inputs:
            layer = linear_at(calibration.denoiser, first)
            accumulator = method.accumulator(layer.in_features, layer.weight.device)
            if accumulator is not None:
                wanted[first] = accumulator
    if wanted:
        calibration.gather(wanted)
    for path, accumulator in wanted.items():
        if not accumulator.tokens:
            raise StageFailed(
                f"layer {path!r} saw no input in calibration", "Leave it out with --exclude"
            )
    return wanted


def _record(old: Tensor, new: Tensor, seen: Accumulator | None) -> dict[str, Any]:
    record: dict[str, Any] = {
        "shape": list(old.shape),
        "weights": old.numel(),
        "zeros": int((new == 0).sum()),
        "largest": float(new.abs().max()),
    }
    if seen is not None:
        record["tokens"] = seen.tokens
    if isinstance(seen, Hessian):
        hessian = seen.matrix()
        error, energy = output_error(old - new, hessian), output_error(old, hessian)
        record |= {"error": error, "relative_error": error / energy if energy else 0.0}
    return record


def _write(file: Path, state: Mapping[str, Tensor], facts: Facts) -> None:
    from safetensors.torch import save

    whole = {name: tensor.contiguous() for name, tensor in state.items()}
    write_file(file, save(whole, {"facts": json.dumps(asdict(facts), sort_keys=True)}))


def _read(file: Path) -> tuple[dict[str, Tensor], Facts]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as stored:
        state = {name: stored.get_tensor(name) for name in stored.keys()}
        return state, Facts(**json.loads(stored.metadata()["facts"]))


def hessian_bytes(denoiser: nn.Module, package: Sequence[Unit]) -> int:
    """Memory of one package's Hessians in float32."""
    widths = (
        linear_at(denoiser, first).in_features for unit in package for first, *_ in unit.inputs
    )
    return sum(4 * width**2 for width in widths)
