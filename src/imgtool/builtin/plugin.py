"""Registers the stages of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

STAGES = (
    ("select.best", "imgtool.builtin.select.best:Best"),
    ("select.top", "imgtool.builtin.select.best:Top"),
    ("select.where", "imgtool.builtin.select.where:Where"),
    ("select.dedupe", "imgtool.builtin.select.dedupe:Dedupe"),
    ("select.pareto", "imgtool.builtin.select.pareto:Pareto"),
    ("select.diverse", "imgtool.builtin.select.diverse:Diverse"),
    ("select.route", "imgtool.builtin.select.route:Route"),
    ("image.read", "imgtool.builtin.image:Read"),
)


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The stages of this package."""
    for name, where in STAGES:
        yield Component("stage", name, where)
