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
from typing import TYPE_CHECKING, NoReturn

from imgtool import __version__
from imgtool.errors import ImgtoolError, Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and exit with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--help" not in arguments:
        _hear_termination()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # JSON is UTF-8, whatever the locale
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        status = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        status = Status.CLOSED_PIPE
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    if status == Status.CLOSED_PIPE:
        _drop_stdout()
    sys.exit(int(status))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit status. Errors are reported on stderr.

    Raises
    ------
    BrokenPipeError : who reads stdout has gone.
    """
    # Answered before click is imported: scripts ask for it often.
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"imgtool {__version__}\n")
        return Status.DONE
    debug = "--debug" in _before_texts(arguments) or bool(os.environ.get("IMGTOOL_DEBUG"))
    try:
        return _run_click([a for a in arguments if a != "--debug"] if debug else arguments)
    except ImgtoolError as err:
        if err.status == Status.CLOSED_PIPE:
            raise BrokenPipeError from None
        if debug:
            raise
        return report(err)
    except KeyboardInterrupt:
        if debug:
            raise
        _say("interrupted", "What was committed stays; the same command goes on from there")
        return Status.INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as err:
        if debug:
            raise
        return _report_os_error(err)
    except Exception as err:
        if debug:
            raise
        return _report_bug(err)


def _run_click(arguments: Sequence[str]) -> int:
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
        _say(_one_line(err.format_message()), f"See {where} --help")
        return Status.USAGE
    return int(result or Status.DONE)


def report(err: ImgtoolError) -> int:
    """Say what went wrong and what to do on stderr; the exit status."""
    from imgtool.ui.text import strip_escapes

    _say(_one_line(strip_escapes(err.message)), strip_escapes(err.hint))
    return err.status


def _report_os_error(err: OSError) -> int:
    import errno

    where = f"{err.filename}: " if err.filename else ""
    text = f"{where}{err.strerror or err}"
    if err.errno == errno.ENOSPC:
        _say(text, "What was committed stays; free some space and run the same command again")
        return Status.STOPPED
    _say(text, "--debug shows where it happened")
    return Status.USAGE


def _report_bug(err: Exception) -> int:
    from imgtool.ui.text import strip_escapes

    text = strip_escapes(f"{type(err).__name__}: {err}")
    _say(
        f"imgtool {__version__} did not expect this: {_one_line(text)}",
        "What was committed stays; please report it with what --debug prints",
    )
    return Status.STOPPED


def _say(what: str, hint: str = "") -> None:
    sys.stderr.write(f"error: {what}\n")
    if hint:
        sys.stderr.write(f"  {hint}\n")


def _one_line(text: str) -> str:
    return " ".join(text.split("\n")).strip()


def _before_texts(arguments: Sequence[str]) -> list[str]:
    listed = list(arguments)
    return listed[: listed.index("--")] if "--" in listed else listed


def _hear_termination() -> None:
    import signal

    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _drop_stdout() -> None:
    # Python flushes stdout once more at exit, and would complain about the closed pipe then.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
