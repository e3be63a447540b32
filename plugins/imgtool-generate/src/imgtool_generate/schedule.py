"""Making the scheduler that a short name means, when it fits the model."""

from __future__ import annotations

import inspect
import traceback
from typing import Any

from imgtool.api import BadParams
from imgtool_generate.samplers import CHOICES, SamplerChoice, find

# Setting of models that were trained down to noise without any signal, Lin et al. (2023).
ZERO_SNR = "rescale_betas_zero_snr"


def check_name(name: str) -> None:
    """Refuse a scheduler name that is none, before anything is loaded.

    Raises
    ------
    BadParams : with the names that there are.
    """
    if name and find(name) is None:
        raise BadParams(f"scheduler {name!r} is unknown", f"Known: {', '.join(CHOICES)}")


def make_scheduler(name: str, current: Any) -> Any:
    """A new scheduler for a model whose own is `current`; an empty name: a fresh copy of that.

    Raises
    ------
    BadParams : that scheduler does not fit the model.
    """
    import diffusers

    if not name:
        return type(current).from_config(current.config)
    check_name(name)
    short = find(name) or ""
    choice, flow = CHOICES[short], is_flow(current)
    if not _fits(choice, current):
        fitting = [key for key, choice in CHOICES.items() if _fits(choice, current)]
        hint = f"It takes: {', '.join(fitting)}"
        raise BadParams(f"scheduler {name!r} does not fit this model", hint)
    settings = dict(choice.settings)
    if flow:
        settings |= {**(choice.flow or {}), **_shift(choice, current)}
    cls = getattr(diffusers, choice.class_name)
    try:
        return cls.from_config(current.config, **settings)
    except (ImportError, ValueError) as err:
        raise BadParams(f"scheduler {name!r}: {err}") from err


def check_steps(scheduler: Any, steps: int) -> None:
    """Refuse fewer steps than those of Runge and Kutta with which PNDM begins.

    Raises
    ------
    BadParams : diffusers would fail over them.
    """
    least = getattr(scheduler, "pndm_order", 0)
    if steps < least and not scheduler.config.get("skip_prk_steps"):
        raise BadParams(
            f"scheduler 'pndm' takes {least} steps or more, not {steps}",
            f"Set steps to {least}, or take another scheduler, such as 'ddim'",
        )


def is_about_steps(error: BaseException) -> bool:
    """Whether a pipeline raised while it had its scheduler choose the steps, whatever the rows."""
    walked = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code.co_name == "retrieve_timesteps" for frame, _ in walked)


def is_flow(scheduler: Any) -> bool:
    """Whether a model with this scheduler is trained by flow matching."""
    return (
        "FlowMatch" in type(scheduler).__name__
        or bool(scheduler.config.get("use_flow_sigmas"))
        or scheduler.config.get("prediction_type") == "flow_prediction"
    )


def _shift(choice: SamplerChoice, current: Any) -> dict[str, float]:
    """How far the levels of noise lean to noise, which schedulers call by two names."""
    shift = float(current.config.get("shift", current.config.get("flow_shift", 1.0)))
    return {"shift" if choice.flow_only else "flow_shift": shift}


def _fits(choice: SamplerChoice, current: Any) -> bool:
    if is_flow(current):
        return choice.flow is not None
    if not current.config.get(ZERO_SNR):
        return not choice.flow_only
    import diffusers

    # Others would draw from levels of noise that the model was not trained on.
    return ZERO_SNR in inspect.signature(getattr(diffusers, choice.class_name)).parameters
