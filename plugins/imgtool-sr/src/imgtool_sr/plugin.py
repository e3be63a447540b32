"""What this plugin registers: stages that enlarge pictures, a trainer, and a bench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

STAGES = (
    ("sr.pocketsr", "pocketsr.stage:Pocketsr"),
    ("sr.lanczos", "lanczos:Lanczos"),
    ("sr.spandrel", "community:Spandrel"),
    ("sr.diffusers", "diffusion:Diffusers"),
)


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The stages, a model, `imgtool train sr.pocketsr` and `imgtool bench sr`."""
    for name, where in STAGES:
        yield Component("stage", name, f"imgtool_sr.{where}")
    yield Component("maker", "train.sr.pocketsr", "imgtool_sr.pocketsr.maker:TrainPocketsr")
    yield Component(
        "model",
        "sr/pocketsr",
        "imgtool_sr:weights/pocketsr",
        "Enlarges and restores pictures of any kind; it saw made ones alone",
        {
            "task": "super-resolution",
            "quality": "{gain_scenes_x2:+.1f} dB at 2x",
            "licence": "Apache-2.0",
            "resolution": "any",
        },
    )
    yield Component(
        "bench", "sr", "imgtool_sr.bench:sr", "How near enlarged pictures come to sharp ones"
    )
