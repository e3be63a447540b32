"""Entry point of `imgtool`, and the one place that exits.

Examples
--------
imgtool --version
imgtool --help
"""

from __future__ import annotations

import io
import os
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from imgtool import __version__
from imgtool.errors import ImgtoolError, Interrupted, Status, StorageFull, Unexpected, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_GO_ON = "the same command goes on from there"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and exit with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_standard_streams()
    if "--help" not in arguments:
        _hear_termination()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # JSON is UTF-8, whatever the locale
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        status = run(arguments)
    except BrokenPipeError:
        status = Status.CLOSED_PIPE
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    if status == Status.INTERRUPTED:
        _forget_stdout(int(status))
    _leave_stdout()
    sys.exit(int(status))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit status. Errors are reported on stderr.

    Raises
    ------
    BrokenPipeError : who reads stdout has gone.
    """
    options = _before_texts(arguments)
    debug = "--debug" in options or bool(os.environ.get("IMGTOOL_DEBUG"))
    try:
        status = _run_click([a for a in arguments if a != "--debug"] if debug else arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # ours too: ClosedPipe is one
        raise
    except (Exception, KeyboardInterrupt) as err:  # noqa: BLE001 - the border to the user
        if debug:
            _show_trace()
        return report(explained(err), as_json=_wants_json(options))
    return status


def explained(err: BaseException) -> ImgtoolError:
    """What stopped a command, as one of the errors that the documentation lists."""
    if isinstance(err, ImgtoolError):
        return err
    if isinstance(err, KeyboardInterrupt):
        return Interrupted("interrupted", "What was committed stays; " + _GO_ON)
    if isinstance(err, OSError):
        return _of_system(err)
    return Unexpected(f"imgtool {__version__} did not expect this: {type(err).__name__}: {err}")


def _run_click(arguments: Sequence[str]) -> int:
    # Answered before click is imported: scripts ask for it often.
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"imgtool {__version__}\n")
        return Status.DONE
    for argument in arguments:
        _check_text(argument)
    import click

    from imgtool.cli.root import root

    if "_IMGTOOL_COMPLETE" in os.environ:
        root.main(list(arguments), prog_name="imgtool", standalone_mode=False)
    # Not root.main: click would turn our EOFError and BrokenPipeError into statuses of its own.
    try:
        with root.make_context("imgtool", list(arguments)) as ctx:
            result = root.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.exceptions.NoArgsIsHelpError as err:
        sys.stderr.write(err.format_message() + "\n")
        return Status.USAGE
    except click.ClickException as err:
        where = err.ctx.command_path if isinstance(err, click.UsageError) and err.ctx else "imgtool"
        raise UsageError(err.format_message(), f"See {where} --help") from None
    return int(result or Status.DONE)


def _check_text(argument: str) -> None:
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{os.fsencode(argument)!r} is not UTF-8 text", "Rename the file, or write it in UTF-8"
        ) from None


def report(err: ImgtoolError, *, as_json: bool = False) -> int:
    """Say what went wrong and what to do on stderr; the exit status.

    Parameters
    ----------
    as_json : say it as one more line of `--progress json`.
    """
    from imgtool.ui.text import strip_escapes

    what, hint = _one_line(strip_escapes(err.message)), _one_line(strip_escapes(err.hint))
    if as_json:
        from imgtool.ui.progress import error_line

        sys.stderr.write(error_line(err.code, int(err.status), what, hint) + "\n")
    else:
        sys.stderr.write(f"error: {what}\n  {hint}\n")
    return err.status


def _of_system(err: OSError) -> ImgtoolError:
    import errno

    where = f"{err.filename}: " if err.filename else ""
    text = f"{where}{err.strerror or err}"
    if err.errno == errno.ENOSPC:
        return StorageFull(text, "What was committed stays; free some space, then " + _GO_ON)
    return UsageError(text, "--debug shows where it happened")


def _show_trace() -> None:
    import traceback

    traceback.print_exc()


def _one_line(text: str) -> str:
    return " ".join(text.split("\n")).strip()


def _before_texts(arguments: Sequence[str]) -> list[str]:
    listed = list(arguments)
    return listed[: listed.index("--")] if "--" in listed else listed


def _wants_json(options: Sequence[str]) -> bool:
    """Whether stderr is read by a program: `--progress json`, on any command that has it."""
    return "--progress=json" in options or ("--progress", "json") in pairwise(options)


def _open_standard_streams() -> None:
    """Let what would go to a closed stdout or stderr vanish, and no file get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _hear_termination() -> None:
    import signal

    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _leave_stdout() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        # Reported already. Python flushes once more at exit, and would complain then.
        _drop_stdout()


def _forget_stdout(status: int) -> None:
    """Let go of a stdout that may take nothing more, or leave with `status` where one cannot."""
    import threading

    from imgtool.ui.outlets import TAIL

    # A thread in a write keeps stdout locked: Python would wait for it, or abort.
    if any(thread.name == TAIL for thread in threading.enumerate()):
        os._exit(status)
    _drop_stdout()


def _drop_stdout() -> None:
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
