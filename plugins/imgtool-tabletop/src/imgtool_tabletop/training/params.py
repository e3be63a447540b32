"""Parameters of the trainers, and what a budget means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import BadParams, Bounds, Help, InputMissing, PathTo

if TYPE_CHECKING:
    from imgtool_tabletop.training.loop import Budget

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
ACCELERATED = "gpu"
"""A budget: as long as an accelerator needs, in larger batches."""
ACCELERATED_S = 1500.0
TextTower = Annotated[
    str,
    Help("Folder of the text tower; the shipped one if empty."),
    PathTo("a CLIPModel folder"),
]
Autoencoder = Annotated[
    str,
    Help("Folder of the autoencoder; the shipped one if empty."),
    PathTo("an AutoencoderKL folder"),
]
Length = Annotated[str, Help("How long to train, such as 20m or 2h.")]
LongBudget = Annotated[
    str,
    Help("How long to train, such as 20m or 2h; gpu: 25 minutes of an accelerator."),
]


SHIPPED = "shipped"
"""A model to begin with: our own."""


@dataclass(frozen=True)
class BudgetParams:
    """Parameters of the trainers that need nothing made before.

    Attributes
    ----------
    budget : a time, or `ACCELERATED` for trainers that can use an accelerator.
    """

    budget: Length = "20m"
    smoke: Annotated[bool, Help("A few steps only, to see that everything works.")] = False
    seed: Annotated[int, Help("Seed of scenes and weights."), Bounds(0)] = 1


@dataclass(frozen=True)
class TrainParams(BudgetParams):
    """Parameters of the trainers that need renders alone."""

    pictures: Annotated[int, Help("Scenes to render."), Bounds(256)] = 60_000


@dataclass(frozen=True)
class ClipParams(TrainParams):
    """Parameters of `train.tabletop/clip`."""

    start: Annotated[
        str,
        Help("Keep this model's text tower and go on with the rest; 'shipped' means tabletop's."),
    ] = ""


@dataclass(frozen=True)
class GeneratorParams(TrainParams):
    """Parameters of `train.tabletop`."""

    budget: LongBudget = "2h"
    clip: TextTower = ""
    vae: Autoencoder = ""
    start: Annotated[
        str, Help("Go on from this pipeline's net; 'shipped' means tabletop's own.")
    ] = ""


@dataclass(frozen=True)
class ModelParams(TrainParams):
    """Parameters of the trainers that may share the pictures of another."""

    budget: Length = "1h"
    bank: Annotated[
        str,
        Help("Pictures of an earlier training of the same seed and kind, not rendered again."),
        PathTo("a folder of rendered pictures"),
    ] = ""


@dataclass(frozen=True)
class VaeParams(ModelParams):
    """Parameters of `train.tabletop/vae`."""

    teacher: Annotated[
        str,
        Help("Learn the latents of the autoencoder in this folder; 'shipped' means our own."),
    ] = ""


@dataclass(frozen=True)
class StartedParams(ModelParams):
    """Parameters of `train.tabletop/vlm` and `train.tabletop/depth`."""

    start: Annotated[str, Help("Go on from the model in this folder; 'shipped' means our own.")] = (
        ""
    )


@dataclass(frozen=True)
class TurboParams(ModelParams):
    """Parameters of `train.tabletop/turbo`."""

    clip: TextTower = ""
    teacher: Annotated[
        str,
        Help("Folder of the generator to distil; the shipped one if empty."),
        PathTo("a StableDiffusionPipeline folder"),
    ] = ""


@dataclass(frozen=True)
class MmditParams(ModelParams):
    """Parameters of `train.tabletop/mmdit`."""

    budget: LongBudget = "2h"
    clip: TextTower = ""
    vae: Autoencoder = ""
    start: Annotated[
        str, Help("Go on from this pipeline's net; 'shipped' means tabletop/mmdit's own.")
    ] = ""
    teacher: Annotated[
        str,
        Help(
            "Learn the velocities of this generator over the same latents, not each picture's "
            "own; 'shipped' means tabletop."
        ),
    ] = ""


@dataclass(frozen=True)
class LoraParams(ModelParams):
    """Parameters of `train.tabletop/lora-finish` and its like."""

    budget: Annotated[str, Help("How long to train both, such as 20m or 2h.")] = "20m"
    pictures: Annotated[int, Help("Pictures to render, two a pair."), Bounds(256)] = 2048
    clip: TextTower = ""
    base: Annotated[
        str,
        Help("Folder of the generator that the LoRAs are for; the shipped one if empty."),
        PathTo("a StableDiffusionPipeline folder"),
    ] = ""


@dataclass(frozen=True)
class AestheticParams(ModelParams):
    """Parameters of `train.tabletop/aesthetic`."""

    budget: Length = "5m"
    clip: Annotated[
        str,
        Help("Folder of the picture tower; the shipped one if empty."),
        PathTo("a CLIPModel folder"),
    ] = ""


def beginning(text: str, shipped: Path) -> Path | None:
    """The folder to begin with that `text` names, `shipped` where it says so; None for "".

    Raises
    ------
    InputMissing : there is no such folder.
    """
    if not text:
        return None
    folder = shipped if text == SHIPPED else Path(text)
    if not folder.is_dir():
        raise InputMissing(f"no folder {text!r} to begin with", f"Name one, or say {SHIPPED!r}")
    return folder


def seconds(text: str) -> float:
    """Seconds that a budget such as `90s`, `20m` or `1.5h` means.

    Raises
    ------
    BadParams : it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None:
        raise BadParams(f"budget {text!r} is no time", "Write 90s, 20m or 2h")
    return float(match[1]) * UNITS[match[2]]


def budget_of(params: BudgetParams) -> Budget:
    """The training loop's budget."""
    from imgtool_tabletop.training.loop import Budget

    if params.smoke:
        return Budget(steps=4, log_every=2)
    if params.budget == ACCELERATED:
        return Budget(seconds=ACCELERATED_S)
    return Budget(seconds=seconds(params.budget))


def small(params: BudgetParams, **settings: int) -> dict[str, Any]:
    """`settings` where a training is only tried, else none."""
    return settings if params.smoke else {}


def large(params: BudgetParams, **settings: int) -> dict[str, Any]:
    """`settings` where an accelerator trains in earnest, else none."""
    return settings if params.budget == ACCELERATED and not params.smoke else {}
