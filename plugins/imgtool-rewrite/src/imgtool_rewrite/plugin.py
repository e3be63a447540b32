"""What this plugin registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The stages, a trainer, and the chat backend that only repeats."""
    yield Component("stage", "rewrite.template", "imgtool_rewrite.stage:Template")
    yield Component("stage", "rewrite.llm", "imgtool_rewrite.llm:Llm")
    yield Component("stage", "rewrite.genpilot", "imgtool_rewrite.genpilot.stage:GenPilot")
    yield Component("stage", "rewrite.shortcot", "imgtool_rewrite.shortcot.stage:ShortCot")
    yield Component("stage", "rewrite.expand", "imgtool_rewrite.continuing.stage:Expand")
    yield Component("stage", "rewrite.promptist", "imgtool_rewrite.continuing.stage:Promptist")
    yield Component("stage", "rewrite.negative", "imgtool_rewrite.negative:Negative")
    yield Component("stage", "rewrite.weights", "imgtool_rewrite.weighted:Weights")
    yield Component("stage", "rewrite.peo", "imgtool_rewrite.peo.stage:Peo")
    where = "imgtool_rewrite.training.maker:TrainShortCot"
    yield Component("maker", "train.shortcot", where)
    yield Component(
        "chat",
        "replay",
        "imgtool_rewrite.replay:replay",
        "Answers of an earlier run, from its rows",
    )
