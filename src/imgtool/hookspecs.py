"""Hooks that plugins implement. Registration is data; events are read-only and guarded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgtool.batch import Failure
    from imgtool.components import Component
    from imgtool.engine.events import BatchDone, RunFinished, RunStarted, StageOpened

GROUP = "imgtool"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def imgtool_components() -> Iterable[Component]:  # type: ignore[empty-body]
    """Yield the components that this plugin owns.

    Called once after the plugin's files change, in a process of its own with a time limit; the
    answer is cached. An exception makes this plugin unusable and no other.
    """


@hookspec
def imgtool_commands() -> Iterable[Component]:  # type: ignore[empty-body]
    """Yield components of kind `command`, whose `where` is a click command.

    Called like `imgtool_components`. The command's module is imported when the command runs.
    """


@hookspec
def imgtool_run_started(run: RunStarted) -> None:
    """A run begins. Called once, in the process that drives the run, before any stage opens.

    For this and every event below: arguments are read-only, and an exception is logged and
    changes nothing.
    """


@hookspec
def imgtool_stage_opened(stage: StageOpened) -> None:
    """A stage has loaded its weights. Called once a stage that has something to compute."""


@hookspec
def imgtool_batch_done(batch: BatchDone) -> None:
    """A batch is committed or was found committed. Called once a batch and stage."""


@hookspec
def imgtool_row_failed(stage: str, row_id: str, failure: Failure) -> None:
    """A row failed in a stage. Called once a row, after the failure is on disk."""


@hookspec
def imgtool_run_finished(run: RunFinished) -> None:
    """A run ended, well or not. Called once, after the last batch is committed."""


EVENTS = (
    "imgtool_run_started",
    "imgtool_stage_opened",
    "imgtool_batch_done",
    "imgtool_row_failed",
    "imgtool_run_finished",
)
