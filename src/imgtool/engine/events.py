"""What the engine tells observers and plugins: read-only facts about a run in progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from imgtool.batch import Failure


@dataclass(frozen=True)
class StageInfo:
    """One instance of a run: its label, stage id, instance name, and batches already done."""

    label: str
    stage: str
    instance: str
    batches: int
    batches_done: int


@dataclass(frozen=True)
class RunStarted:
    """A run begins; `rows` is the count of source rows."""

    run: str
    store: str
    rows: int
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
    rows: int
    failed: int


Event: TypeAlias = RunStarted | StageOpened | BatchStarted | BatchDone | RowFailed | RunFinished
Observer: TypeAlias = Callable[[Event], None]
