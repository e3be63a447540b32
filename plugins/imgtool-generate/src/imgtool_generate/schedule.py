"""Making the scheduler that a short name means, when it fits the model."""

from __future__ import annotations

from typing import Any

from imgtool.api import BadParams
from imgtool_generate.samplers import CHOICES, SamplerChoice, find


def make_scheduler(name: str, current: Any) -> Any:
    """A new scheduler for a model whose own is `current`; an empty name: a fresh copy of that.

    Raises
    ------
    BadParams : the name is unknown, or that scheduler does not fit the model.
    """
    import diffusers

    if not name:
        return type(current).from_config(current.config)
    short = find(name)
    flow = is_flow(current)
    fitting = [key for key, choice in CHOICES.items() if _fits(choice, flow)]
    if short is None or short not in fitting:
        what = "does not fit this model" if short else "is unknown"
        raise BadParams(f"scheduler {name!r} {what}", f"It takes: {', '.join(fitting)}")
    choice = CHOICES[short]
    settings = {**choice.settings, **(choice.flow or {})} if flow else choice.settings
    cls = getattr(diffusers, choice.class_name)
    try:
        return cls.from_config(current.config, **settings)
    except (ImportError, ValueError) as err:
        raise BadParams(f"scheduler {name!r}: {err}") from err


def is_flow(scheduler: Any) -> bool:
    """Whether a model with this scheduler is trained by flow matching."""
    return (
        "FlowMatch" in type(scheduler).__name__
        or bool(scheduler.config.get("use_flow_sigmas"))
        or scheduler.config.get("prediction_type") == "flow_prediction"
    )


def _fits(choice: SamplerChoice, flow: bool) -> bool:
    return choice.flow is not None if flow else not choice.flow_only
