"""Pruning a denoiser package by package: gather, solve, write back, note, go on.

A package's statistics are gathered with all packages before it pruned. What is done lies in a
folder of notes, so that a killed pruning goes on at the first package that is not.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from imgtool.api import OutOfMemory, StageFailed, write_file
from imgtool_prune.architectures import linear_at
from imgtool_prune.criteria import output_error
from imgtool_prune.statistics import Hessian

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from imgtool_prune.architectures import Unit
    from imgtool_prune.calibration import Calibration
    from imgtool_prune.layout import Layout
    from imgtool_prune.statistics import Accumulator

log = logging.getLogger("imgtool.prune")
GIB = 2**30


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
class Result:
    """What a pruning came to.

    Attributes
    ----------
    weights : by their name in the denoiser's state.
    found : for the report, what was asked for instead of a sparsity and what met it.
    layout : heads and neurons whose columns are zero now.
    """

    weights: dict[str, Tensor]
    facts: Facts
    found: Mapping[str, Any] = field(default_factory=dict)
    layout: Layout = field(default_factory=dict)


@dataclass(frozen=True)
class Solved:
    """New weights of one layer.

    Attributes
    ----------
    path : of the layer.
    weight : [R, d] float32, of the layer's own shape.
    seen : what was gathered of its input.
    facts : for the report.
    plain : [R, d] as magnitude or L1 norms leave it, as much pruned and nothing repaired, where a
        Hessian tells its error.
    """

    path: str
    weight: Tensor
    seen: Accumulator | None
    facts: Mapping[str, Any]
    plain: Tensor | None = None


class Gatherer(Protocol):
    """Says what has to be seen of an input."""

    def accumulator(self, width: int, device: torch.device) -> Accumulator | None:
        """What gathers statistics of an input of `width` channels; None: nothing is needed."""
        ...


class Solver(Gatherer, Protocol):
    """Turns statistics into weights, unit by unit."""

    def solve(
        self, denoiser: nn.Module, unit: Unit, seen: dict[str, Accumulator]
    ) -> Iterator[Solved]:
        """New weights of layers of `unit` that change; `denoiser` stays as it is.

        Parameters
        ----------
        seen : by the first layer of those that share an input; what is used is taken out.

        Raises
        ------
        StageFailed : a layer cannot be pruned.
        """
        ...


@dataclass(frozen=True)
class Pruner:
    """One pruning of one denoiser.

    Attributes
    ----------
    notes : folder for finished packages; of this pruning alone.
    """

    solver: Solver
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
            for name, weight in state.items():
                layer = linear_at(self.denoiser, name.removesuffix(".weight"))
                layer.weight.data.copy_(weight)
            weights |= state
            facts = Facts(found.alphas, facts.layers + found.layers)
            log.info("package %d of %d: %d layers", number + 1, len(packages), len(found.layers))
        return weights, facts

    def _prune(self, package: Sequence[Unit], number: int, file: Path) -> None:
        seen = gather(self.calibration, self.solver, package)
        state: dict[str, Tensor] = {}
        records = []
        for unit in package:
            for solved in self.solver.solve(self.denoiser, unit, seen):
                old = linear_at(self.denoiser, solved.path).weight.data
                new = solved.weight.to(old.dtype)
                if not new.isfinite().all():
                    raise StageFailed(
                        f"layer {solved.path!r}: repaired weights do not fit {new.dtype}",
                        "Try --dtype float32",
                    )
                state[f"{solved.path}.weight"] = new.cpu()
                record = _record(old.float(), new.float(), solved)
                where = {"path": solved.path, "block": unit.block, "package": number}
                records.append({**where, **record, **solved.facts})
        _write(file, state, Facts(self.calibration.alphas, records))


def gather(
    calibration: Calibration, gatherer: Gatherer, package: Sequence[Unit]
) -> dict[str, Accumulator]:
    """Statistics that `gatherer` needs, by the first layer of those that share an input.

    Raises
    ------
    OutOfMemory : there is no room for them.
    StageFailed : a layer saw no input, or one that is not finite.
    """
    wanted = _accumulators(calibration.denoiser, gatherer, package)
    if wanted:
        calibration.gather(wanted)
    for path, accumulator in wanted.items():
        if not accumulator.tokens:
            raise StageFailed(
                f"layer {path!r} saw no input in calibration", "Leave it out with --exclude"
            )
        if isinstance(accumulator, Hessian) and accumulator.tokens < accumulator.width:
            log.warning(
                "layer %r: %d tokens for %d channels leave its Hessian to the damping; "
                "give more prompts", path, accumulator.tokens, accumulator.width,
            )  # fmt: skip
    return wanted


def _accumulators(
    denoiser: nn.Module, gatherer: Gatherer, package: Sequence[Unit]
) -> dict[str, Accumulator]:
    found: dict[str, Accumulator] = {}
    for first in (first for unit in package for first, *_ in unit.inputs):
        layer = linear_at(denoiser, first)
        try:
            accumulator = gatherer.accumulator(layer.in_features, layer.weight.device)
        except (MemoryError, RuntimeError) as err:  # torch raises the latter on processors
            fit = sum(_bytes(each.width) for each in found.values()) / GIB
            raise OutOfMemory(
                f"a package's Hessians take {hessian_bytes(denoiser, package) / GIB:.2g} GiB,"
                f" and {fit:.2g} fit",
                f"Try --packages 0 --memory {fit:.2g}, as many packages as that takes",
            ) from err
        if accumulator is not None:
            found[first] = accumulator
    return found


def _record(old: Tensor, new: Tensor, solved: Solved) -> dict[str, Any]:
    seen = solved.seen
    record: dict[str, Any] = {
        "shape": list(old.shape),
        "weights": old.numel(),
        "zeros": int((new == 0).sum()),
        "largest": float(new.abs().max()),
    }
    if seen is not None:
        record |= {"tokens": seen.tokens, "weighed_rows": seen.weight}
    if isinstance(seen, Hessian):
        hessian = seen.matrix()
        energy = output_error(old, hessian) or 1.0
        error = output_error(old - new, hessian)
        record |= {"error": error, "relative_error": error / energy}
        if solved.plain is not None:
            record["magnitude_error"] = output_error(old - solved.plain, hessian) / energy
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
    return sum(
        _bytes(linear_at(denoiser, first).in_features)
        for unit in package
        for first, *_ in unit.inputs
    )


def _bytes(width: int) -> int:
    return 4 * width**2


@contextmanager
def named(layers: Sequence[str]) -> Iterator[None]:
    """Say which layers cannot be pruned.

    Raises
    ------
    StageFailed : for what the mathematics raises.
    """
    try:
        yield
    except (ValueError, ArithmeticError) as err:
        raise StageFailed(
            f"layers {', '.join(layers)}: {err}", "Give more prompts, or more --damping"
        ) from err
