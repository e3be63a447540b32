"""What this plugin registers: stages that enlarge pictures, and their bench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

STAGES = (
    ("sr.lanczos", "lanczos:Lanczos"),
    ("sr.spandrel", "community:Spandrel"),
    ("sr.diffusers", "diffusion:Diffusers"),
)


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The stages, and `imgtool bench sr`."""
    for name, where in STAGES:
        yield Component("stage", name, f"imgtool_sr.{where}")
    yield Component(
        "bench", "sr", "imgtool_sr.bench:sr", "How near enlarged pictures come to sharp ones"
    )
