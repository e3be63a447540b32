"""Every error a user can meet: one class each, with exit status and hint.

A class's docstring and `remedy` are its entry in the documentation. Nothing here prints or exits.
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
    """`did you mean 'x'? ` for the nearest known name, or an empty string.

    Among names of one family (`tabletop/`, `score.`) only what follows it is compared.
    """
    import difflib  # only when something is wrong already

    every = list(known)
    shared = max(name.rfind("/"), name.rfind(".")) + 1
    family = [one for one in every if shared and one.startswith(name[:shared])]
    rests = {one[shared:]: one for one in family} or {one: one for one in every}
    match = difflib.get_close_matches(name[shared:] if family else name, rests, n=1, cutoff=0.6)
    return f"did you mean {rests[match[0]]!r}? " if match else ""


def some(names: Iterable[str], most: int = 12) -> str:
    """The first names, how many more there are, or `none`."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more or "none"


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 row`, `2 rows`; `plural` where an s alone does not make it."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


class ImgtoolError(Exception):
    """Base of every error that imgtool raises on purpose; a plugin may raise it as it is.

    Attributes
    ----------
    status : exit status of a command that ends with it.
    remedy : what to do about it, for the documentation; the hint where a raiser gives none.
    message, hint : what is wrong here, and what to do here; one line each.
    """

    status: ClassVar[Status] = Status.STOPPED
    remedy: ClassVar[str] = "What was committed stays; --debug shows where it happened"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.remedy

    @property
    def code(self) -> str:
        """The stable name of the error in JSON output and in the documentation."""
        return type(self).__name__


class UsageError(ImgtoolError, ValueError):
    """The command, an option or a value is wrong. Nothing was loaded or changed."""

    status = Status.USAGE
    remedy = "The command's --help lists what it takes"


class InputMissing(UsageError, FileNotFoundError):
    """A file named on the command line or in a pipeline does not exist."""

    remedy = "Check the path"


class InputUnreadable(UsageError):
    """An input file exists but cannot be read: wrong encoding, truncated or not what it claims."""

    remedy = "Make the file again, or give another; --debug shows the cause"


class InputEmpty(UsageError):
    """An input holds no rows."""

    remedy = (
        "Give at least one row: a prompt, a file, a picture, a store with a finished run, or a pipe"
    )


class BadRowId(UsageError):
    """A row id is repeated, or has characters outside letters, digits, `_`, `-` and `.`."""

    remedy = "Use letters, digits, '_', '-' and single '.', and each id once"


class UnknownComponent(UsageError, LookupError):
    """No stage, maker, pipeline or other component has this name."""

    remedy = "imgtool stages, imgtool pipeline list and imgtool plugin list show what there is"


class AmbiguousComponent(UsageError):
    """Two plugins own one name. Say which as `dist:name`, or disable one."""

    remedy = "Say dist:name, or disable one plugin: imgtool plugin disable NAME"


class BrokenPlugin(UsageError, ImportError):
    """The plugin that owns the name failed to load: it raised, exited or did not end in time."""

    remedy = (
        "Update, reinstall or disable it: imgtool plugin disable NAME; the others go on working"
    )


class BadParams(UsageError):
    """A parameter has an unknown name, a wrong type or a value out of bounds."""

    remedy = "imgtool stages NAME shows the parameters with their bounds and choices"


class BadPipeline(UsageError):
    """A pipelines file is not valid. The message names file and line."""

    remedy = "Correct the line; imgtool pipeline check says whether all is well"


class MissingField(UsageError):
    """A stage consumes a field that nothing before it produces."""

    remedy = "Put a stage before it that gives the field, or bind a file: --FIELD FILE"


class ModelUnusable(UsageError):
    """A model reference names nothing, holds no weights, or holds weights in an unsafe format."""

    remedy = "imgtool models lists those at hand; weights must be .safetensors"


class OutputUnwritable(UsageError, OSError):
    """The place where results should go cannot be written."""

    remedy = "Choose a folder that you may write"


class NeedsConsent(UsageError):
    """An untrusted recipe wants to download, call an endpoint or write outside `-o`."""

    remedy = "If you trust where it came from, add --consent"


class StoreNotFound(UsageError, FileNotFoundError):
    """The path holds no imgtool store."""

    remedy = "Check the path; anything run with --store makes a store"


class StoreTooNew(UsageError):
    """The store was written in a newer format than this version reads."""

    remedy = "Update imgtool, or give another --store"


class StoreReadOnly(UsageError, PermissionError):
    """The store cannot be written, and the run has something to write."""

    remedy = "Give another --store"


class StoreBusy(UsageError):
    """A run uses the store that something should be removed from."""

    remedy = "Give the command again when the run has ended"


class StoreDamaged(ImgtoolError, ValueError):
    """Bytes of a committed batch are missing or changed. `imgtool store verify` withdraws it."""

    remedy = "imgtool store verify withdraws what is bad; the next run redoes it"


class StorageFull(ImgtoolError, OSError):
    """The disk is full. What was committed stays; the same command goes on from there."""

    remedy = "Free some space and give the same command again: it goes on from there"


class StreamCut(ImgtoolError, EOFError):
    """The upstream command ended before its trailer. The rows that came were finished."""

    remedy = "See its error, and run the same pipe again: what is done stays done"


class StageFailed(ImgtoolError):
    """A stage could not go on: it raised outside any row, or `--on-error stop` met a failed row."""

    remedy = "What was committed stays; --debug shows where the stage failed"


class OutOfMemory(ImgtoolError, MemoryError):
    """One row alone does not fit in memory."""

    remedy = "Try a smaller picture, --dtype bfloat16 or --device cpu"


class EndpointDown(ImgtoolError, ConnectionError):
    """A service that a stage calls does not answer."""

    remedy = (
        "Check the address and the service, then give the same command again: it goes on from there"
    )


class BudgetEnded(ImgtoolError):
    """A time, call or size budget that the user set is used up."""

    remedy = "Raise the budget and give the same command again: it goes on from there"


class Unexpected(ImgtoolError, RuntimeError):
    """imgtool or a plugin did something that its author did not foresee: a bug."""

    remedy = "What was committed stays; please report it with what --debug prints"


class Interrupted(ImgtoolError):
    """Ctrl-C or SIGTERM. What was committed stays; the same command goes on from there."""

    status = Status.INTERRUPTED
    remedy = "The same command goes on from there"


class ClosedPipe(ImgtoolError, BrokenPipeError):
    """Who read the output has gone. What was committed stays; nothing is reported."""

    status = Status.CLOSED_PIPE
    remedy = "Nothing to do, if the reader was meant to stop"


class RowError(ImgtoolError):
    """Raise in `Stage.process` when a row cannot be done; the others go on.

    Parameters
    ----------
    row_id : id of the row that failed.
    reason : one line, kept in the store.
    """

    status = Status.ROWS_FAILED
    remedy = "The rest is done; --retry-failed tries failed rows again"

    def __init__(self, row_id: str, reason: str) -> None:
        super().__init__(f"row {row_id}: {reason}")
        self.row_id = row_id
        self.reason = reason
