"""Many commands, each a real process with its own streams; Python is started once for all.

As a module `crowd` starts them from a test. As a script it is what they are forked from: it
imports what all of them need, reads a request as JSON on stdin, and answers with one on stdout.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT_S = 240
SHARED = ("numpy", "PIL.Image", "zarr", "google_crc32c", "pydantic", "imgtool.cli.work")


@dataclass(frozen=True)
class Left:
    """What one command left.

    Attributes
    ----------
    status : exit status; negative the signal that ended it.
    out, err : what it wrote; on a terminal all of it is `out`.
    peak : the most memory that it ever had, bytes, above what all commands share.
    """

    status: int
    out: str
    err: str
    peak: int


def crowd(
    commands: Sequence[Sequence[str]], together: bool = False, terminal: bool = False
) -> list[Left]:
    """Run commands in this folder, one after another or all at once; what each left.

    Parameters
    ----------
    terminal : they write to a terminal, which is one of their own.
    """
    request = {"commands": [list(c) for c in commands], "together": together, "terminal": terminal}
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=LIMIT_S * (1 if together else len(commands)),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Left(**item) for item in json.loads(done.stdout)]


def main() -> None:
    """Serve one request."""
    from importlib import import_module

    request = json.load(sys.stdin)
    for name in SHARED:
        import_module(name)
    # Not ru_maxrss: it would count the test's process, from which this one was started.
    shared = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    with tempfile.TemporaryDirectory() as folder:
        left = _served(Path(folder), request)
    for item in left:
        item["peak"] = max(0, item["peak"] * 1024 - shared)
    json.dump(left, sys.stdout)


def _served(folder: Path, request: dict) -> list[dict]:
    commands = request["commands"]
    if request["terminal"]:
        return [_on_terminal(command) for command in commands]
    if not request["together"]:
        return [_left(folder, 0, *_start(folder, 0, command)) for command in commands]
    ready, go = os.pipe()
    started = [_start(folder, at, command, (ready, go)) for at, command in enumerate(commands)]
    os.close(ready)
    os.close(go)  # all begin now
    return [_left(folder, at, *names) for at, names in enumerate(started)]


def _start(
    folder: Path, at: int, command: list[str], gate: tuple[int, int] | None = None
) -> tuple[int]:
    child = os.fork()
    if not child:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / f"{at}.{name}", os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
        if gate is not None:
            os.close(gate[1])
            os.read(gate[0], 1)
        _become(command)
    return (child,)


def _left(folder: Path, at: int, child: int) -> dict:
    _, status, used = os.wait4(child, 0)
    texts = [(folder / f"{at}.{name}").read_bytes().decode() for name in ("out", "err")]
    return _item(status, used.ru_maxrss, *texts)


def _on_terminal(command: list[str]) -> dict:
    ours, theirs = pty.openpty()
    child = os.fork()
    if not child:
        os.close(ours)
        for number in (1, 2):
            os.dup2(theirs, number)
        _become(command)
    os.close(theirs)
    shown = bytearray()
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # the terminal's other end was closed
        pass
    os.close(ours)
    _, status, used = os.wait4(child, 0)
    return _item(status, used.ru_maxrss, shown.decode(errors="surrogateescape"), "")


def _item(status: int, peak: int, out: str, err: str) -> dict:
    code = os.waitstatus_to_exitcode(status)
    return {"status": code, "out": out, "err": err, "peak": peak}


def _become(command: list[str]) -> NoReturn:
    from imgtool.cli.main import main as imgtool

    signal.alarm(LIMIT_S)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    status: object = 1
    try:
        imgtool(command)
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 - what Python would do
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    main()
