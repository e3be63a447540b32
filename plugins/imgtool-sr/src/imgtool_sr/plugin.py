"""What this plugin registers: stages that enlarge pictures, a trainer, and a bench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

STAGES = (
    ("sr.lanczos", "lanczos:Lanczos"),
    ("sr.spandrel", "community:Spandrel"),
    ("sr.diffusers", "diffusion:Diffusers"),
    ("sr.pocketsr", "pocketsr.stage:Pocketsr"),
)


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The stages, `imgtool train sr.pocketsr` and `imgtool bench sr`."""
    for name, where in STAGES:
        yield Component("stage", name, f"imgtool_sr.{where}")
    yield Component("maker", "train.sr.pocketsr", "imgtool_sr.pocketsr.maker:TrainPocketsr")
    yield Component(
        "bench", "sr", "imgtool_sr.bench:sr", "How near enlarged pictures come to sharp ones"
    )
