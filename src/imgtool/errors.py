"""Every error a user can meet: one class each, with exit status and hint.

A class's docstring is its entry in the documentation. Nothing here prints or exits.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class Status(IntEnum):
    """Exit status of every imgtool command."""

    DONE = 0
    ROWS_FAILED = 1
    USAGE = 2
    STOPPED = 3
    INTERRUPTED = 130
    CLOSED_PIPE = 141


def near(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'? ` for the nearest known name, or an empty string."""
    import difflib  # only when something is wrong already

    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {match[0]!r}? " if match else ""


class ImgtoolError(Exception):
    """Base of every error that imgtool raises on purpose."""

    status: ClassVar[Status] = Status.STOPPED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def code(self) -> str:
        """The stable name of the error in JSON output and in the documentation."""
        return type(self).__name__


class UsageError(ImgtoolError, ValueError):
    """The command, an option or a value is wrong. Nothing was loaded or changed."""

    status = Status.USAGE


class InputMissing(UsageError, FileNotFoundError):
    """A file named on the command line or in a pipeline does not exist."""


class InputUnreadable(UsageError):
    """An input file exists but cannot be read: wrong encoding, truncated or not what it claims."""


class InputEmpty(UsageError):
    """An input holds no rows."""


class BadRowId(UsageError):
    """A row id is repeated, or has characters outside letters, digits, `_`, `-` and `.`."""


class UnknownComponent(UsageError, LookupError):
    """No stage, maker, pipeline or other component has this name."""


class AmbiguousComponent(UsageError):
    """Two plugins own one name. Say which as `dist:name`, or disable one."""


class BrokenPlugin(UsageError, ImportError):
    """The plugin that owns the name failed to load: it raised, exited or did not end in time."""


class BadParams(UsageError):
    """A parameter has an unknown name, a wrong type or a value out of bounds."""


class BadPipeline(UsageError):
    """A pipelines file is not valid. The message names file and line."""


class MissingField(UsageError):
    """A stage consumes a field that nothing before it produces."""


class ModelUnusable(UsageError):
    """A model reference names nothing, holds no weights, or holds weights in an unsafe format."""


class OutputUnwritable(UsageError, OSError):
    """The place where results should go cannot be written."""


class NeedsConsent(UsageError):
    """An untrusted recipe wants to download, call an endpoint or write outside `-o`."""


class StoreNotFound(UsageError, FileNotFoundError):
    """The path holds no imgtool store."""


class StoreTooNew(UsageError):
    """The store was written in a newer format than this version reads."""


class StoreReadOnly(UsageError, PermissionError):
    """The store cannot be written, and the run has something to write."""


class StoreDamaged(ImgtoolError, ValueError):
    """Bytes of a committed batch are missing or changed. `imgtool store verify` withdraws it."""


class StorageFull(ImgtoolError, OSError):
    """The disk is full. What was committed stays; the same command goes on from there."""


class StreamCut(ImgtoolError, EOFError):
    """The upstream command ended before its trailer. The rows that came were finished."""


class StageFailed(ImgtoolError):
    """A stage could not go on: it raised outside any row, or `--on-error stop` met a failed row."""


class OutOfMemory(ImgtoolError, MemoryError):
    """One row alone does not fit in memory."""


class EndpointDown(ImgtoolError, ConnectionError):
    """A service that a stage calls does not answer."""


class BudgetEnded(ImgtoolError):
    """A time, call or size budget that the user set is used up."""


class Interrupted(ImgtoolError):
    """Ctrl-C or SIGTERM. What was committed stays; the same command goes on from there."""

    status = Status.INTERRUPTED


class ClosedPipe(ImgtoolError, BrokenPipeError):
    """Who read the output has gone. What was committed stays; nothing is reported."""

    status = Status.CLOSED_PIPE


class RowError(ImgtoolError):
    """Raise in `Stage.process` when a row cannot be done; the others go on.

    Parameters
    ----------
    row_id : id of the row that failed.
    reason : one line, kept in the store.
    """

    status = Status.ROWS_FAILED

    def __init__(self, row_id: str, reason: str) -> None:
        super().__init__(f"row {row_id}: {reason}")
        self.row_id = row_id
        self.reason = reason
