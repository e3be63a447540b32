"""Stands between this process and its file system: sees every change below some folders, in order.

Installed in the test's process, or in a command's by `sitecustomize`. A watcher is asked before
each change, and may raise; it is told after each one that was made.
"""

from __future__ import annotations

import base64
import io
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHANGES = ("mkdir", "rename", "replace", "unlink", "remove", "rmdir", "link", "symlink")


@dataclass(frozen=True)
class Change:
    """One change of the file system.

    Attributes
    ----------
    kind : `mkdir create write rename unlink rmdir fsync_file fsync_folder note`.
    path : what it concerns, absolute.
    to : where a rename or a link leads.
    data : bytes written, in base 64; for a note what it says.
    """

    kind: str
    path: str
    to: str = ""
    data: str = ""


class Watcher(Protocol):
    """Sees changes; `before` may raise instead of letting one happen."""

    def before(self, change: Change) -> None:
        """It is about to be made."""

    def after(self, change: Change) -> None:
        """It was made."""


class Recorder:
    """Keeps every change, in memory or as lines of a file outside the watched folders."""

    def __init__(self, file: Path | None = None) -> None:
        self.changes: list[Change] = []
        self._out = open(file, "a", encoding="utf-8") if file else None

    def before(self, change: Change) -> None:
        """Nothing: it only watches."""

    def after(self, change: Change) -> None:
        """Keep it."""
        self.changes.append(change)
        if self._out is not None:
            self._out.write(json.dumps(asdict(change)) + "\n")
            self._out.flush()

    def note(self, text: str) -> None:
        """Put a mark among the changes."""
        self.after(Change("note", "", data=text))


def recorded(file: Path) -> list[Change]:
    """The changes that a `Recorder` of another process kept."""
    return [Change(**json.loads(line)) for line in file.read_text().splitlines()]


class FullDisk:
    """Lets so many changes that need room happen; then the disk is full, until it is given up."""

    def __init__(self, room: int) -> None:
        self.left = room
        self.refused = 0

    def before(self, change: Change) -> None:
        """Refuse what needs room."""
        if change.kind not in ("mkdir", "create", "write", "fsync_file", "rename"):
            return
        self.left -= 1
        if self.left < 0:
            self.refused += 1
            raise OSError(28, os.strerror(28), change.path)

    def after(self, change: Change) -> None:
        """Nothing."""


class Interposer:
    """Context that puts a watcher over all changes below `roots`."""

    def __init__(self, roots: Sequence[Path], watcher: Watcher) -> None:
        self._roots = tuple(os.path.realpath(root) for root in roots)
        self._watcher = watcher
        self._lock = threading.RLock()
        self._kept: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> None:
        for name in CHANGES:
            self._put(os, name, self._wrapped(name, getattr(os, name)))
        self._put(os, "fsync", self._wrapped_fsync(os.fsync))
        self._put(os, "open", self._wrapped_os_open(os.open))
        self._put(io, "open", self._wrapped_open(io.open))

    def __exit__(self, *_: object) -> None:
        while self._kept:
            module, name, function = self._kept.pop()
            setattr(module, name, function)

    def _put(self, module: Any, name: str, function: Any) -> None:
        self._kept.append((module, name, getattr(module, name)))
        setattr(module, name, function)

    def step(self, change: Change, make: Callable[[], Any]) -> Any:
        """Make a change under the watcher's eyes, or without them where it is elsewhere."""
        if not self._is_watched(change.path):
            return make()
        with self._lock:
            self._watcher.before(change)
            result = make()
            self._watcher.after(change)
            return result

    def _is_watched(self, path: str) -> bool:
        return any(path == root or path.startswith(root + os.sep) for root in self._roots)

    def _wrapped(self, name: str, function: Any) -> Any:
        kind = {"replace": "rename", "remove": "unlink", "symlink": "link"}.get(name, name)

        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            to = arguments[0] if kind in ("rename", "link") else ""
            change = Change(kind, _full(path, options), _full(to, {}) if to else "")
            return self.step(change, lambda: function(path, *arguments, **options))

        return call

    def _wrapped_fsync(self, function: Any) -> Any:
        def call(handle: int) -> None:
            path = _full(handle, {})
            kind = "fsync_folder" if Path(path).is_dir() else "fsync_file"
            self.step(Change(kind, path), lambda: function(handle))

        return call

    def _wrapped_os_open(self, function: Any) -> Any:
        def call(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            full = _full(path, options)
            if not flags & os.O_CREAT or os.path.lexists(full):
                return int(function(path, flags, *arguments, **options))
            change = Change("create", full)
            return int(self.step(change, lambda: function(path, flags, *arguments, **options)))

        return call

    def _wrapped_open(self, function: Any) -> Any:
        def call(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            full = "" if isinstance(path, int) else _full(path, {})
            if mode not in ("wb", "xb") or not self._is_watched(full):
                return function(path, mode, *arguments, **options)
            made: _Watched = self.step(Change("create", full), lambda: _Watched(full, mode, self))
            return io.BufferedWriter(made)

        return call


class _Watched(io.FileIO):
    def __init__(self, path: str, mode: str, interposer: Interposer) -> None:
        super().__init__(path, mode.replace("b", ""))
        self._path, self._interposer = path, interposer

    def write(self, data: Any) -> int:
        text = base64.b64encode(bytes(data)).decode()
        kept = super().write
        return int(
            self._interposer.step(Change("write", self._path, data=text), lambda: kept(data))
        )


def _full(path: Any, options: dict[str, Any]) -> str:
    """An absolute path of a path, of a handle, or of a name below the handle `dir_fd`."""
    if isinstance(path, int):
        return os.readlink(f"/proc/self/fd/{path}")
    below = options.get("dir_fd")
    start = os.getcwd() if below is None else os.readlink(f"/proc/self/fd/{below}")
    folder, name = os.path.split(os.path.join(start, os.fspath(path)))
    return os.path.join(os.path.realpath(folder), name)


def lines_of_sitecustomize(roots: Sequence[Path], file: Path) -> Iterator[str]:
    """Python that records a command's changes below `roots` into `file`."""
    yield "from pathlib import Path"
    yield "from interposer import Interposer, Recorder"
    yield f"Interposer([Path(p) for p in {[str(r) for r in roots]!r}], "
    yield f"    Recorder(Path({str(file)!r}))).__enter__()"
