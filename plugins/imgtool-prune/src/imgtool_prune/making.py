"""From a maker's parameters to a folder: what is pruned, and in how many packages."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from imgtool.api import BadParams, write_file
from imgtool_prune.architectures import KIND, split
from imgtool_prune.calibration import Calibration
from imgtool_prune.choosing import choose
from imgtool_prune.layout import cuts
from imgtool_prune.makers import CalibratedParams, MaskParams, SparseGptParams, StructureParams
from imgtool_prune.packages import GIB, hessian_bytes
from imgtool_prune.parts import choose_parts
from imgtool_prune.patterns import SemiStructured, Unstructured
from imgtool_prune.pipeline import denoiser_of, load_pipeline, open_source, skeleton
from imgtool_prune.prompting import prompts_of
from imgtool_prune.pruning import Masks
from imgtool_prune.removal import Removal
from imgtool_prune.reporting import operations, summed
from imgtool_prune.target import Goal, read_target
from imgtool_prune.writing import has_pruned_class, write_layout, write_pruned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from imgtool.api import Runtime
    from imgtool_prune.architectures import Unit
    from imgtool_prune.makers import ModelParams
    from imgtool_prune.methods import Method
    from imgtool_prune.packages import Result
    from imgtool_prune.patterns import MaskPattern
    from imgtool_prune.pipeline import Source
    from imgtool_prune.target import Target


class Work(Protocol):
    """What is to be pruned, and how.

    Attributes
    ----------
    units : whose layers are solved for.
    """

    @property
    def units(self) -> list[Unit]: ...

    def run(
        self, packages: Sequence[Sequence[Unit]], calibration: Calibration, notes: Path
    ) -> Result:
        """Prune `packages` of the units; finished ones lie in the folder `notes`."""
        ...


def prune_model(
    name: str, method: Method | Removal, params: ModelParams, out_dir: Path, runtime: Runtime
) -> None:
    """Prune the model that `params` name into `out_dir`; `name` is the maker's, with its version.

    Raises
    ------
    BadParams, InputEmpty, InputUnreadable : a pattern or prompts that cannot be.
    ModelUnusable, UnknownComponent : no model, or no adapter for its family.
    StageFailed : a layer cannot be pruned.
    """
    target = target_of(params)
    source, digest = open_source(params.model, runtime)
    trajectories, held_out = prompts_of(params, source, target)
    goal = None if target is None else Goal(target, source, held_out)
    work = work_of(method, params, source, goal, runtime)
    pipe = load_pipeline(source, runtime)
    denoiser = denoiser_of(pipe, source)
    settings = {**asdict(params), "prompts": list(trajectories.prompts), "model_digest": digest}
    how = {"device": str(runtime.torch_device), "dtype": str(runtime.torch_dtype)}
    mark = json.dumps([name, settings, list(held_out), how], sort_keys=True).encode()
    notes = runtime.journal / hashlib.blake2b(mark, digest_size=8).hexdigest()
    packages = packages_of(denoiser, work.units, params)
    result = work.run(packages, Calibration(pipe, denoiser, trajectories), notes)
    taken = cuts(denoiser, work.units, result.layout) if is_compact(params) else {}
    write_pruned(source, result.weights, taken, out_dir)
    if taken:
        write_layout(source, result.layout, out_dir)
    versions = {library: version(library) for library in ("diffusers", "torch")}
    report = {"format": 1, "maker": name, "settings": settings, **how, "versions": versions}
    report |= result.found
    report |= summed(denoiser, result.facts, taken) | operations(pipe, denoiser, work.units, result)
    text = json.dumps(report, sort_keys=True, indent=1) + "\n"
    write_file(out_dir / "prune_report.json", text.encode())


def work_of(
    method: Method | Removal,
    params: ModelParams,
    source: Source,
    goal: Goal | None,
    runtime: Runtime,
) -> Work:
    """What `params` ask for, checked as far as can be without weights.

    Raises
    ------
    BadParams : it cannot be.
    ModelUnusable, UnknownComponent : no adapter for the family.
    """
    found: Any = runtime.component(KIND, source.denoiser_class)
    adapter, shapes = found(), skeleton(source)
    if isinstance(method, Removal):
        assert isinstance(params, StructureParams)
        check_layout(params, source)
        return choose_parts(method, adapter.structures(shapes), params, params.multiple, goal)
    assert isinstance(params, MaskParams)
    choice = choose(adapter.units(shapes), shapes, params, read_pattern(params))
    return Masks(method, choice, goal, spread_of(params))


def is_compact(params: ModelParams) -> bool:
    """Whether layers are to become smaller."""
    return isinstance(params, StructureParams) and params.layout == "compact"


def check_layout(params: ModelParams, source: Source) -> None:
    """Refuse a compact layout that nothing could load.

    Raises
    ------
    BadParams : there is no class for it.
    """
    if is_compact(params) and not has_pruned_class(source):
        raise BadParams(f"no class loads a smaller {source.denoiser_class}", "Take --layout padded")


def read_pattern(params: MaskParams) -> MaskPattern:
    """The pattern of single weights that `params` ask for.

    Raises
    ------
    BadParams : it is none, or contradicts the sparsity.
    """
    if params.pattern == "structured":
        raise BadParams(
            "this maker removes no heads and neurons", "prune.obs, prune.sparsegpt and prune.l1 do"
        )
    rule = params.rule if isinstance(params, SparseGptParams) else "exact"
    asked = re.fullmatch(r"(\d+):(\d+)", params.pattern)
    try:
        if params.pattern == "unstructured":
            return Unstructured(0.5 if params.sparsity is None else params.sparsity, rule)
        if asked is None:
            raise ValueError(f"pattern {params.pattern!r} is neither unstructured nor N:M")
        pattern = SemiStructured(int(asked[1]), int(asked[2]))
    except ValueError as err:
        raise BadParams(str(err)) from err
    share = 1 - pattern.keep / pattern.group
    if params.sparsity is not None and abs(params.sparsity - share) > 1e-9:
        raise BadParams(
            f"pattern {params.pattern} prunes {share:g} of the weights, not {params.sparsity:g}",
            "Leave sparsity out",
        )
    if isinstance(params, SparseGptParams):
        _check_groups(pattern, params)
    return pattern


def _check_groups(pattern: SemiStructured, params: SparseGptParams) -> None:
    if params.allocation != "uniform":
        raise BadParams(
            f"pattern {params.pattern} leaves no choice between layers", "Leave allocation out"
        )
    if params.block % pattern.group:
        raise BadParams(
            f"block {params.block} is no multiple of {pattern.group}, the group of"
            f" {params.pattern}",
            f"Say --block {max(params.block // pattern.group, 1) * pattern.group}",
        )


def target_of(params: ModelParams) -> Target | None:
    """What `params` ask for instead of a sparsity.

    Raises
    ------
    BadParams : it is none, contradicts another parameter, or cannot be measured.
    """
    if not params.target:
        return None
    target = read_target(params.target)
    if params.sparsity is not None:
        raise BadParams(f"target {params.target!r} finds the sparsity", "Leave sparsity out")
    if isinstance(params, MaskParams) and ":" in params.pattern:
        raise BadParams(
            f"pattern {params.pattern} leaves no choice of sparsity to meet a target",
            "Take the pattern unstructured, or leave target out",
        )
    if target.kind == "loss" and not isinstance(params, CalibratedParams):
        raise BadParams("this maker draws no pictures to measure a loss with", "Ask for a size")
    return target


def spread_of(params: ModelParams) -> float | None:
    """How far sparsities of layers may differ; None: not at all."""
    if isinstance(params, SparseGptParams) and params.allocation == "error":
        return params.spread
    return None


def packages_of(
    denoiser: nn.Module, units: Sequence[Unit], params: ModelParams
) -> list[list[Unit]]:
    """`units` in as many packages as asked, or as few as memory allows."""
    if not isinstance(params, CalibratedParams):
        return split(units, 1)
    if params.packages:
        return split(units, params.packages)
    budget = params.memory * GIB
    for count in range(1, len(units)):
        packages = split(units, count)
        if max(hessian_bytes(denoiser, package) for package in packages) <= budget:
            return packages
    return split(units, len(units))
