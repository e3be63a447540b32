"""Which prompts to calibrate with, which to measure with, and how they are drawn."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.api import BadParams, InputEmpty, InputUnreadable
from imgtool_prune.calibration import Trajectories
from imgtool_prune.makers import CalibratedParams, WeighedParams
from imgtool_prune.weighting import Weighting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgtool_prune.makers import ModelParams
    from imgtool_prune.pipeline import Source
    from imgtool_prune.target import Target

log = logging.getLogger("imgtool.prune")


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
