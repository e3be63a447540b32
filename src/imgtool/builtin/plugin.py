"""Registers the stages of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

STAGES = (
    ("select.best", "imgtool.builtin.select:Best"),
    ("select.where", "imgtool.builtin.select:Where"),
    ("select.top", "imgtool.builtin.select:Top"),
    ("select.dedupe", "imgtool.builtin.select:Dedupe"),
    ("image.read", "imgtool.builtin.image:Read"),
)


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The stages of this package."""
    for name, where in STAGES:
        yield Component("stage", name, where)
