"""Schedulers by the short names that people use. No diffusers here: names only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class SamplerChoice:
    """A scheduler class of diffusers and settings that go with the name.

    Attributes
    ----------
    flow : settings that make it fit flow-matching models; None: it cannot.
    flow_only : whether it fits nothing else.
    """

    class_name: str
    settings: Mapping[str, object] = field(default_factory=dict)
    flow: Mapping[str, object] | None = None
    flow_only: bool = False


_FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}

CHOICES: Mapping[str, SamplerChoice] = {
    "ddim": SamplerChoice("DDIMScheduler"),
    "ddpm": SamplerChoice("DDPMScheduler"),
    "deis": SamplerChoice("DEISMultistepScheduler"),
    "dpm++": SamplerChoice("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}, _FLOW),
    "dpm++-karras": SamplerChoice(
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True},
    ),
    "dpm++-sde": SamplerChoice(
        "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}
    ),
    "dpm++-single": SamplerChoice("DPMSolverSinglestepScheduler"),
    "dpm2": SamplerChoice("KDPM2DiscreteScheduler"),
    "dpm2-a": SamplerChoice("KDPM2AncestralDiscreteScheduler"),
    "euler": SamplerChoice("EulerDiscreteScheduler"),
    "euler-a": SamplerChoice("EulerAncestralDiscreteScheduler"),
    "flow-euler": SamplerChoice("FlowMatchEulerDiscreteScheduler", flow={}, flow_only=True),
    "flow-heun": SamplerChoice("FlowMatchHeunDiscreteScheduler", flow={}, flow_only=True),
    "heun": SamplerChoice("HeunDiscreteScheduler"),
    "lcm": SamplerChoice("LCMScheduler"),
    "lms": SamplerChoice("LMSDiscreteScheduler"),
    "pndm": SamplerChoice("PNDMScheduler"),
    "tcd": SamplerChoice("TCDScheduler"),
    "unipc": SamplerChoice("UniPCMultistepScheduler", flow=_FLOW),
}
SHORT_NAMES = tuple(CHOICES)
_OTHER_SPELLINGS = {
    "dpmpp": "dpm++",
    "dpmpp2m": "dpm++",
    "dpm++2m": "dpm++",
    "dpm++2mkarras": "dpm++-karras",
    "dpm++2msde": "dpm++-sde",
    "dpmsolver++": "dpm++",
    "eulerancestral": "euler-a",
    "dpm2ancestral": "dpm2-a",
    "flowmatcheuler": "flow-euler",
    "flowmatchheun": "flow-heun",
}


def plain(name: str) -> str:
    """`name` without case, spaces, `-` and `_`, and without the word scheduler."""
    small = "".join(c for c in name.lower() if c not in " -_")
    return small.removesuffix("scheduler").removesuffix("discrete") or small


def find(name: str) -> str | None:
    """The short name that `name` means, in any spelling or as a class name; None: unknown."""
    wanted = plain(name)
    spellings = {plain(short): short for short in CHOICES}
    classes = {plain(choice.class_name): short for short, choice in reversed(list(CHOICES.items()))}
    return spellings.get(wanted) or _OTHER_SPELLINGS.get(wanted) or classes.get(wanted)
