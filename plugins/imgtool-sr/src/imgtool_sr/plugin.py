"""What this plugin registers: stages that enlarge pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

STAGES = (
    ("sr.lanczos", "lanczos:Lanczos"),
    ("sr.spandrel", "community:Spandrel"),
)


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The stages."""
    for name, where in STAGES:
        yield Component("stage", name, f"imgtool_sr.{where}")
