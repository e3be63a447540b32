"""What a caller asks of the engine, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from imgtool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from imgtool.batch import Value
    from imgtool.pipeline import MakerUse, StageUse


class OnError(StrEnum):
    """What a failed row does: it is left out, goes on unchanged, or stops the run."""

    SKIP = "skip"
    PASS = "pass"  # noqa: S105 - no password
    STOP = "stop"


class Schedule(StrEnum):
    """Whether stages run at the same time (`stream`) or one after another (`stage`)."""

    AUTO = "auto"
    STREAM = "stream"
    STAGE = "stage"


@dataclass(frozen=True)
class StreamSource:
    """Rows that an upstream command committed: batches of one instance, as they arrive.

    Attributes
    ----------
    instance : key of the upstream's last instance, in the store of the request.
    batches : names of its batches in order; iterating may block until the next is committed.
    fields : names of the fields that its rows have.
    """

    instance: str
    batches: Iterable[str]
    fields: tuple[str, ...]


@dataclass(frozen=True)
class RunRequest:
    """Stages over rows, and how to run them.

    Attributes
    ----------
    stages : stages in order; `upstream` of a stage names an earlier label to branch from.
    rows : one mapping a row with `id` and fields (`seed` included), or an upstream's stream.
    store : folder of the store.
    name : name of the run; it is kept in the store.
    makers : weights to make first; params refer to them as `@name`.
    batch : rows a source batch; 0: sixteen, fewer when stages expand them.
    compute_batch : rows computed at once inside a batch; 0: the stage's own choice.
    row : compute this one row (`42.1`), what leads to it and what is made of it; nothing else.

    Raises
    ------
    UsageError : `name` could not name a folder, or would name one elsewhere.
    """

    stages: tuple[StageUse, ...]
    rows: Iterable[Mapping[str, Value]] | StreamSource
    store: Path
    name: str = "run"
    makers: tuple[MakerUse, ...] = ()
    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    deterministic: bool = False
    batch: int = 0
    compute_batch: int = 0
    on_error: OnError = OnError.SKIP
    retry_failed: bool = False
    row: str | None = None
    schedule: Schedule = Schedule.AUTO
    offline: bool = True
    attributes: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Texts, as pipelines have them.
        object.__setattr__(self, "on_error", OnError(self.on_error))
        object.__setattr__(self, "schedule", Schedule(self.schedule))
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise UsageError(
                f"{self.name!r} cannot be the name of a run", "Use no '/', and no '.' to begin with"
            )

    @property
    def marks(self) -> tuple[str, ...]:
        """What results depend on beside stages and rows: they are kept apart from those without."""
        row = () if self.row is None else (f"row={self.row}",)
        return (*row, "on_error=pass") if self.on_error is OnError.PASS else row
