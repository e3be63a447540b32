"""What the engine tells observers and plugins: read-only facts about a run in progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from imgtool.batch import Failure


@dataclass(frozen=True)
class StageInfo:
    """One instance of a run: its label, stage id and name in the store."""

    label: str
    stage: str
    instance: str


@dataclass(frozen=True)
class RunStarted:
    """A run begins. How many rows there will be is not known: they may still be coming."""

    run: str
    store: str
    stages: tuple[StageInfo, ...]


@dataclass(frozen=True)
class StageOpened:
    """A stage has loaded its weights; `seconds` is how long that took."""

    label: str
    seconds: float


@dataclass(frozen=True)
class BatchStarted:
    """A batch is being computed. `at` is on the monotonic clock, seconds."""

    label: str
    number: int
    name: str
    rows: int
    at: float


@dataclass(frozen=True)
class BatchAdvanced:
    """A part of a batch is computed: `done` of `total`, in whatever its stage counts."""

    label: str
    number: int
    done: int
    total: int


@dataclass(frozen=True)
class BatchDone:
    """A batch is committed, or was found committed (`cached`)."""

    label: str
    instance: str
    number: int
    name: str
    rows: int
    failed: int
    cached: bool
    at: float


@dataclass(frozen=True)
class RowFailed:
    """A row failed in a stage and is recorded as failed."""

    label: str
    row_id: str
    failure: Failure


@dataclass(frozen=True)
class RunFinished:
    """A run ended; `status` is the exit status that a command would give."""

    run: str
    status: int
    failed: int


Event: TypeAlias = (
    RunStarted | StageOpened | BatchStarted | BatchAdvanced | BatchDone | RowFailed | RunFinished
)
Observer: TypeAlias = Callable[[Event], None]
