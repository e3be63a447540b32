"""What this plugin registers: the stage and its lens models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The stage, and renderers by name for its `lens_model`."""
    yield Component("stage", "defocus.thinlens", "imgtool_defocus.stage:ThinLens")
    for name, summary in (
        ("layered", "Slices from far to near; knows what hides what"),
        ("scatter", "Every pixel spreads its light; keeps the energy of lights"),
        ("gather", "Every pixel averages its disc; simple and differentiable"),
    ):
        yield Component("lens", name, f"imgtool_defocus.{name}:render", summary)
