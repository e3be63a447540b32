"""From a maker's parameters to a folder: what is pruned, with which prompts, and the report."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from imgtool.api import BadParams, InputEmpty, InputUnreadable, write_file
from imgtool_prune.architectures import KIND, split
from imgtool_prune.calibration import Calibration, Trajectories
from imgtool_prune.choosing import choose
from imgtool_prune.layout import cuts, removed_parameters
from imgtool_prune.makers import (
    CalibratedParams,
    MaskParams,
    SparseGptParams,
    StructureParams,
    WeighedParams,
)
from imgtool_prune.packages import hessian_bytes
from imgtool_prune.parts import choose_parts
from imgtool_prune.patterns import SemiStructured, Unstructured
from imgtool_prune.pipeline import (
    Source,
    denoiser_of,
    load_pipeline,
    open_source,
    skeleton,
)
from imgtool_prune.pruning import Masks
from imgtool_prune.removal import Removal
from imgtool_prune.target import read_target
from imgtool_prune.weighting import Weighting
from imgtool_prune.writing import has_pruned_class, write_layout, write_pruned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from imgtool.api import Runtime
    from imgtool_prune.architectures import Unit
    from imgtool_prune.layout import Cut
    from imgtool_prune.makers import ModelParams
    from imgtool_prune.methods import Method
    from imgtool_prune.packages import Facts
    from imgtool_prune.patterns import MaskPattern
    from imgtool_prune.pruning import Result
    from imgtool_prune.target import Target

log = logging.getLogger("imgtool.prune")
GIB = 2**30


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
    work = work_of(method, params, source, target, held_out, runtime)
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
    report = {"format": 1, "maker": name, "settings": settings, **how, **result.found}
    report |= summed(denoiser, result.facts, taken)
    text = json.dumps(report, sort_keys=True, indent=1) + "\n"
    write_file(out_dir / "prune_report.json", text.encode())


def work_of(
    method: Method | Removal,
    params: ModelParams,
    source: Source,
    target: Target | None,
    held_out: Sequence[str],
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
        return choose_parts(method, adapter.structures(shapes), params, params.multiple)
    assert isinstance(params, MaskParams)
    choice = choose(adapter.units(shapes), shapes, params, read_pattern(params))
    return Masks(method, choice, source, target, held_out, spread_of(params))


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
    if isinstance(params, SparseGptParams) and params.allocation != "uniform":
        raise BadParams(
            f"pattern {params.pattern} leaves no choice between layers", "Leave allocation out"
        )
    return pattern


def target_of(params: ModelParams) -> Target | None:
    """What `params` ask for instead of a sparsity.

    Raises
    ------
    BadParams : it is none, contradicts another parameter, or cannot be measured.
    """
    if not isinstance(params, MaskParams) or not params.target:
        return None
    target = read_target(params.target)
    if params.sparsity is not None or params.pattern != "unstructured":
        raise BadParams(
            f"target {params.target!r} finds the sparsity of unstructured pruning",
            "Leave sparsity and pattern out",
        )
    if target.kind == "loss" and not isinstance(params, CalibratedParams):
        raise BadParams("this maker draws no pictures to measure a loss with", "Ask for a size")
    return target


def spread_of(params: ModelParams) -> float | None:
    """How far sparsities of layers may differ; None: not at all."""
    if isinstance(params, SparseGptParams) and params.allocation == "error":
        return params.spread
    return None


def prompts_of(
    params: ModelParams, source: Source, target: Target | None
) -> tuple[Trajectories, Sequence[str]]:
    """How to calibrate, and held-out prompts for the loss that `target` asks for.

    Raises
    ------
    InputEmpty, InputUnreadable, BadParams : no prompts, or weights that make no sense.
    """
    if not isinstance(params, CalibratedParams):
        return Trajectories(prompts=()), ()
    prompts = read_prompts(params, source)
    held_out: Sequence[str] = ()
    if target is not None and target.kind == "loss":
        held_out = prompts[params.count :][: params.held_out]
        if not held_out:
            raise InputEmpty(
                f"all {len(prompts)} prompts are calibrated with: none is left to measure a loss",
                "Give more prompts, or a lower count",
            )
    elif len(prompts) < params.count:
        log.warning("calibrating with all %d prompts", len(prompts))
    return trajectories_of(params, source, prompts[: params.count]), held_out


def trajectories_of(
    params: CalibratedParams, source: Source, prompts: Sequence[str]
) -> Trajectories:
    """How to calibrate with `prompts`.

    Raises
    ------
    BadParams : weights that make no sense.
    """
    weighed = params if isinstance(params, WeighedParams) else None
    found = Trajectories(
        prompts=prompts,
        steps=params.steps or source.advice.get("steps"),
        guidance=source.advice.get("guidance") if params.guidance is None else params.guidance,
        batch=params.batch,
        seed=params.seed,
        weighting=Weighting(weighed.weighting) if weighed else Weighting.UNIFORM,
        a_min=weighed.a_min if weighed else 1.0,
        a_max=weighed.a_max if weighed else 1.0,
    )
    try:
        found.weights(1)
    except ValueError as err:
        raise BadParams(f"a_min {found.a_min:g} and a_max {found.a_max:g} give no weights") from err
    return found


def read_prompts(params: CalibratedParams, source: Source) -> tuple[str, ...]:
    """All prompts of the file, or of the model's own captions."""
    file = Path(params.prompts) if params.prompts else source.folder / "captions.txt"
    if not file.is_file():
        raise BadParams(
            f"model {params.model!r} brings no captions to calibrate with",
            "Name a file with a prompt a line: prompts",
        )
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as err:
        raise InputUnreadable(f"{str(file)!r} is no text in UTF-8") from err
    prompts = tuple(line.strip() for line in lines if line.strip())
    if not prompts:
        raise InputEmpty(f"{str(file)!r} holds no prompt")
    return prompts


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


def summed(denoiser: nn.Module, facts: Facts, taken: Mapping[str, Cut]) -> dict[str, Any]:
    """The part of the report that counts; `taken` is what smaller layers have lost."""
    zeros, targeted = (sum(layer[what] for layer in facts.layers) for what in ("zeros", "weights"))
    parameters = sum(parameter.numel() for parameter in denoiser.parameters())
    return {
        "alphas": facts.alphas,
        "layers": facts.layers,
        "parameters": parameters,
        "parameters_kept": parameters - removed_parameters(denoiser, taken),
        "targeted_weights": targeted,
        "zeros": zeros,
        "sparsity": zeros / targeted if targeted else 0.0,
        "warnings": ["LoRAs and ControlNets of the dense model do not fit"] if taken else [],
    }
