"""From a maker's parameters to a folder: what is pruned, with which prompts, and the report."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.api import BadParams, InputEmpty, InputUnreadable, write_file
from imgtool_prune.architectures import KIND, Unit, linear_at, paths, split, without
from imgtool_prune.budget import sparsities
from imgtool_prune.calibration import Calibration, Trajectories
from imgtool_prune.makers import CalibratedParams, SparseGptParams, WeighedParams
from imgtool_prune.masking import Masking
from imgtool_prune.methods import Obs
from imgtool_prune.packages import Facts, Pruner, hessian_bytes
from imgtool_prune.patterns import SemiStructured, Unstructured
from imgtool_prune.pipeline import (
    Source,
    denoiser_of,
    load_pipeline,
    open_source,
    write_pruned,
)
from imgtool_prune.weighting import Weighting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from imgtool.api import Runtime
    from imgtool_prune.architectures import ArchAdapter
    from imgtool_prune.makers import MaskParams
    from imgtool_prune.methods import Method
    from imgtool_prune.patterns import MaskPattern

log = logging.getLogger("imgtool.prune")
GIB = 2**30


def prune_model(
    name: str, method: Method, params: MaskParams, out_dir: Path, runtime: Runtime
) -> None:
    """Prune the model that `params` name into `out_dir`; `name` is the maker's, with its version.

    Raises
    ------
    BadParams, InputEmpty, InputUnreadable : a pattern or prompts that cannot be.
    ModelUnusable, UnknownComponent : no model, or no adapter for its family.
    StageFailed : a layer cannot be pruned.
    """
    pattern = read_pattern(params)
    source, digest = open_source(params.model, runtime)
    trajectories = trajectories_of(params, source)
    adapter: Any = runtime.component(KIND, source.denoiser_class)
    pipe = load_pipeline(source, runtime)
    denoiser = denoiser_of(pipe, source)
    units = units_of(adapter(), denoiser, params.exclude, pattern)
    settings = {**asdict(params), "prompts": list(trajectories.prompts), "model_digest": digest}
    how = {"device": str(runtime.torch_device), "dtype": str(runtime.torch_dtype)}
    packages = packages_of(denoiser, units, params)
    mark = json.dumps([name, settings, how], sort_keys=True).encode()
    notes = runtime.journal / hashlib.blake2b(mark, digest_size=8).hexdigest()
    calibration = Calibration(pipe, denoiser, trajectories)
    patterns = patterns_of(calibration, method, packages, pattern, params, notes)
    weights, facts = Pruner(Masking(method, patterns), calibration, notes).run(packages)
    write_pruned(source, weights, out_dir)
    report = {"format": 1, "maker": name, "settings": settings, **how, **summed(denoiser, facts)}
    text = json.dumps(report, sort_keys=True, indent=1) + "\n"
    write_file(out_dir / "prune_report.json", text.encode())


def read_pattern(params: MaskParams) -> MaskPattern:
    """The pattern that `params` ask for.

    Raises
    ------
    BadParams : it is none, or contradicts the sparsity.
    """
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


def patterns_of(
    calibration: Calibration,
    method: Method,
    packages: Sequence[Sequence[Unit]],
    pattern: MaskPattern,
    params: MaskParams,
    notes: Path,
) -> dict[str, MaskPattern]:
    """The pattern of each layer by its path: the same for all, or as the budget is spent."""
    layers = [path for package in packages for path in paths(package)]
    uniform = not isinstance(params, SparseGptParams) or params.allocation == "uniform"
    if uniform or not layers:
        return dict.fromkeys(layers, pattern)
    assert isinstance(params, SparseGptParams)
    assert isinstance(pattern, Unstructured)
    assert isinstance(method, Obs)
    shares = sparsities(calibration, method, packages, pattern.sparsity, params.spread, notes)
    return {path: Unstructured(share, pattern.rule) for path, share in shares.items()}


def trajectories_of(params: MaskParams, source: Source) -> Trajectories:
    """How to calibrate; without prompts where `params` know of none.

    Raises
    ------
    InputEmpty, InputUnreadable, BadParams : no prompts, or weights that make no sense.
    """
    if not isinstance(params, CalibratedParams):
        return Trajectories(prompts=())
    weighed = params if isinstance(params, WeighedParams) else None
    found = Trajectories(
        prompts=read_prompts(params, source),
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
    """The first `count` prompts of the file, or of the model's own captions."""
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
    prompts = tuple(line.strip() for line in lines if line.strip())[: params.count]
    if not prompts:
        raise InputEmpty(f"{str(file)!r} holds no prompt")
    if len(prompts) < params.count:
        log.warning("calibrating with all %d prompts of %s", len(prompts), file.name)
    return prompts


def units_of(
    adapter: ArchAdapter,
    denoiser: nn.Module,
    exclude: Sequence[str],
    pattern: MaskPattern,
) -> list[Unit]:
    """What is to be pruned; nothing where the sparsity is 0.

    Raises
    ------
    BadParams : nothing is left, or a layer cannot have the pattern.
    ModelUnusable : a layer is no plain linear one.
    """
    units = adapter.units(denoiser)
    for glob in exclude:
        if not any(fnmatchcase(path, glob) for path in paths(units)):
            log.warning("no layer is like %r: nothing is left out for it", glob)
    units = without(
        units, [path for path in paths(units) if any(fnmatchcase(path, glob) for glob in exclude)]
    )
    if not units:
        raise BadParams("no layer is left to prune", "Exclude fewer")
    for path in paths(units):
        try:
            pattern.check(*linear_at(denoiser, path).weight.shape)
        except ValueError as err:
            raise BadParams(f"layer {path!r}: {err}", "Exclude it, or take another N:M") from err
    nothing = isinstance(pattern, Unstructured) and not pattern.sparsity
    return [] if nothing else units


def packages_of(denoiser: nn.Module, units: Sequence[Unit], params: MaskParams) -> list[list[Unit]]:
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


def summed(denoiser: nn.Module, facts: Facts) -> dict[str, Any]:
    """The part of the report that counts."""
    zeros, targeted = (sum(layer[what] for layer in facts.layers) for what in ("zeros", "weights"))
    return {
        "alphas": facts.alphas,
        "layers": facts.layers,
        "parameters": sum(parameter.numel() for parameter in denoiser.parameters()),
        "targeted_weights": targeted,
        "zeros": zeros,
        "sparsity": zeros / targeted if targeted else 0.0,
    }
