"""Other processes for a check, most of them forked from one that imports and never computes.

Importing torch and what stands on it takes seconds, and a check starts three processes a stage.

`python -m imgtool.plugin_kit.processes ENTRY [ARGUMENT...]` calls the function at ENTRY,
`package.module:function`, and exits with what it returns. Without ENTRY it forks: a request comes
as a line of JSON on stdin, the exit status goes as a line to stdout.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from imgtool.components import load

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from types import TracebackType

# Imported once for all; a plugin's own modules are not among them, they are new in each process.
HEAVY = ("torch", "zarr", "numpy", "pydantic", "diffusers", "transformers")
LIMIT_S = 900
COMMAND = (sys.executable, "-P", "-m", "imgtool.plugin_kit.processes")


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes
    ----------
    status : exit status; negative for a signal.
    """

    status: int
    out: str
    err: str


class Processes:
    """Runs one process after another. Owns the process that forks them, from its first use on.

    Attributes
    ----------
    libraries : whose modules they begin with, as far as this process has imported them.
    """

    def __init__(self, libraries: Collection[str] = HEAVY) -> None:
        self.libraries = libraries
        self._forking: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="imgtool-processes-")

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._forking is not None:
            self._forking.communicate()  # ends at the end of its stdin
        self._folder.cleanup()

    def run(self, entry: str, *arguments: str) -> Ended:
        """Call the function at `entry` with `arguments` in a process that has computed nothing."""
        out, err = (Path(self._folder.name) / name for name in ("out", "err"))
        imports = [name for name in sys.modules if name.partition(".")[0] in self.libraries]
        request = {"imports": imports, "call": [entry, *arguments], "files": [str(out), str(err)]}
        status = self._forked(request) if _can_fork() else _spawned(request)
        return Ended(status, *(file.read_text(errors="replace") for file in (out, err)))

    def _forked(self, request: dict[str, list[str]]) -> int:
        if self._forking is None:
            self._forking = subprocess.Popen(  # noqa: S603 - our own module
                COMMAND, env=_environment(), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        assert self._forking.stdin and self._forking.stdout
        try:
            self._forking.stdin.write(json.dumps(request) + "\n")
            self._forking.stdin.flush()
            return int(self._forking.stdout.readline())
        except (BrokenPipeError, ValueError):  # something that it imported ended it
            return _spawned(request)


def _spawned(request: dict[str, list[str]]) -> int:
    with contextlib.ExitStack() as stack:
        out, err = (stack.enter_context(Path(file).open("wb")) for file in request["files"])
        return subprocess.run(  # noqa: S603 - our own module
            [*COMMAND, *request["call"]], env=_environment(), check=False, timeout=LIMIT_S,
            stdin=subprocess.DEVNULL, stdout=out, stderr=err,
        ).returncode  # fmt: skip


def _can_fork() -> bool:
    """A process that asked for a GPU cannot share it with its children; macOS is no safer."""
    torch = sys.modules.get("torch")
    return sys.platform == "linux" and not (torch is not None and torch.cuda.is_available())


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}


def _serve() -> None:
    # What a module prints while it is imported must not be taken for a status.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        for name in request["imports"]:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        child = os.fork()
        if child == 0:
            _be_child(request)
        _, ended = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(ended)}\n")
        answers.flush()
    os._exit(0)  # taking torch down properly costs a second


def _be_child(request: dict[str, list[str]]) -> NoReturn:
    signal.alarm(LIMIT_S)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, file in zip((1, 2), request["files"], strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    status = 1
    try:
        status = _call(request["call"])
    except BaseException:  # noqa: BLE001 - the border of this process
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _call(request: Sequence[str]) -> int:
    entry, *arguments = request
    try:
        return int(load(entry)(arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(_call(sys.argv[1:]))
    _serve()
