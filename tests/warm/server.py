"""Forks a process for each command that `client.py` hands over; ends with its stdin.

`python server.py FOLDER MODULE...` imports modules, listens at FOLDER/socket and prints a line.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import marshal
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NoReturn


@dataclass(frozen=True)
class Request:
    """A command: which, where, with what environment and standard streams."""

    script: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    streams: list[int]


def serve(listening: socket.socket) -> None:
    """Fork for each connection; tell its client how the child ended; end with stdin."""
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    clients: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as ready:
        for source in (sys.stdin.fileno(), listening, ended):
            ready.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj == sys.stdin.fileno():
                    for child in clients:
                        os.kill(child, signal.SIGKILL)
                    return
                if key.fileobj == ended:
                    os.read(ended, 4096)
                    for child, status in _reaped():
                        client = clients.pop(child)
                        ready.unregister(client)
                        _answer(client, status)
                elif key.fileobj is listening:
                    client, _ = listening.accept()
                    with contextlib.suppress(EOFError):  # killed before it had asked
                        child = _start(client)
                        clients[child] = client
                        ready.register(client, selectors.EVENT_READ, child)
                elif key.data in clients:
                    # A signal for the child, or the end of its client, which was killed.
                    number = clients[key.data].recv(1)
                    os.kill(key.data, number[0] if number else signal.SIGKILL)


def _reaped() -> list[tuple[int, int]]:
    found = []
    with contextlib.suppress(ChildProcessError):
        while (pair := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            found.append((pair[0], os.waitstatus_to_exitcode(pair[1])))
    return found


def _answer(client: socket.socket, status: int) -> None:
    with client, contextlib.suppress(OSError):  # it may have been killed
        client.sendall(status.to_bytes(4, "big", signed=True))


def _start(client: socket.socket) -> int:
    request = _received(client)
    child = os.fork()
    if child == 0:
        _be_child(request)
    for stream in request.streams:
        os.close(stream)
    return child


def _received(client: socket.socket) -> Request:
    size, streams, _, _ = socket.recv_fds(client, 8, 3)
    left, parts = int.from_bytes(size, "big"), []
    while left and (part := client.recv(left)):
        parts.append(part)
        left -= len(part)
    return Request(*marshal.loads(b"".join(parts)), streams)  # EOFError if some is missing


def _be_child(request: Request) -> NoReturn:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(request.streams):
        os.dup2(stream, number)
    os.closerange(3, 1024)
    _open_streams()
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    paths = request.environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [path for path in paths if path]
    importlib.invalidate_caches()
    status = 0
    try:
        _run(request.script, request.arguments)
    except SystemExit as end:
        status = _status_of(end)
    except BaseException as err:  # noqa: BLE001 - the border of this process
        traceback.print_exc()
        status = 130 if isinstance(err, KeyboardInterrupt) else 1
    _end(status)


def _open_streams() -> None:
    # Those of the server know whether *its* streams can seek.
    sys.stdin = sys.__stdin__ = open(0, closefd=False)
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace", closefd=False)


def _run(script: str, arguments: list[str]) -> None:
    """What `python SCRIPT ...`, `python -m MODULE ...` and `python -c TEXT ...` do."""
    if script == "-m":
        sys.path.insert(0, str(Path.cwd()))
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif script == "-c":
        sys.path.insert(0, "")
        sys.argv = ["-c", *arguments[1:]]
        module = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(arguments[0], "<string>", "exec"), vars(module))
    else:
        sys.path.insert(0, str(Path(script).parent))
        sys.argv = [script, *arguments]
        runpy.run_path(script, run_name="__main__")


def _status_of(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    sys.stderr.write(f"{end.code}\n")
    return 1


def _end(status: int) -> NoReturn:
    """End as an interpreter does, but for taking down every module: with torch, a second."""
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 120
    os._exit(status)


def main(folder: Path, *modules: str) -> None:
    """Import, then serve."""
    del sys.path[0]  # the folder of this file, which no command has
    for name in modules:
        with contextlib.suppress(ImportError):  # optional libraries
            importlib.import_module(name)
    gc.freeze()  # children share what is never collected
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        listening.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        serve(listening)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
