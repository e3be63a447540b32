"""A disk that loses its power: what may be on it after some changes, of which few were synced.

The rules are those that file systems keep, and no more. A name is durable when the folder it is in
was synced after; bytes are durable when the file was. What was not synced may be there, or not,
or in part, each change for itself; a rename is there or not as a whole.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

    from interposer import Change

POLICIES = ("nothing unsynced", "names alone", "names and half the bytes", "names and zeros")
MIXED = "each change by chance"


@dataclass
class File:
    """Bytes as they are, and as they were when last synced."""

    now: bytes = b""
    synced: bytes | None = None


@dataclass
class Folder:
    """Names as they were when last synced, and changes since: (number, name, what or nothing)."""

    synced: dict[str, File | Folder] = field(default_factory=dict)
    changes: list[tuple[int, str, File | Folder | None]] = field(default_factory=list)

    def now(self) -> dict[str, File | Folder]:
        """Names as they are."""
        return self.after({number for number, _, _ in self.changes})

    def after(self, kept: set[int]) -> dict[str, File | Folder]:
        """Names when of the changes since the last sync only `kept` were made."""
        names = dict(self.synced)
        for number, name, what in self.changes:
            if number in kept:
                names.pop(name, None)
                if what is not None:
                    names[name] = what
        return names

    def sync(self) -> None:
        """Make the names durable."""
        self.synced, self.changes = self.now(), []


class Disk:
    """The folder `root` and what is below it, from changes one by one."""

    def __init__(self, root: Path) -> None:
        self.base = os.path.realpath(root)
        self.top = Folder()
        self.number = 0

    def copy_of(self, folder: Path) -> None:
        """Start with what is there, all of it durable."""
        _load(self.top, folder)

    def apply(self, change: Change) -> None:
        """One more change."""
        self.number += 1
        path = change.path
        match change.kind:
            case "mkdir":
                self._set(path, Folder())
            case "create":
                self._create(path)
            case "write":
                self._file(path).now += base64.b64decode(change.data)
            case "rename":
                self._rename(path, change.to)
            case "unlink" | "rmdir":
                self._set(path, None)
            case "fsync_file":
                file = self._file(path)
                file.synced = file.now
            case "fsync_folder":
                self._folder(path).sync()

    def leave(self, place: Path, policy: str, rng: random.Random) -> None:
        """Write into `place` what a power cut now would leave."""
        if policy == MIXED:
            chance = rng.random()
            kept = {n for n in range(1, self.number + 1) if rng.random() < chance}
        else:
            kept = set() if policy == POLICIES[0] else set(range(self.number + 1))
        _write(self.top, place, kept, policy, rng)

    def _create(self, path: str) -> None:
        there = self._folder(os.path.dirname(path)).now().get(os.path.basename(path))
        if isinstance(there, File):
            there.now = b""
        else:
            self._set(path, File())

    def _rename(self, path: str, to: str) -> None:
        what = self._look(path)
        self._set(path, None)
        self._set(to, what)

    def _set(self, path: str, what: File | Folder | None) -> None:
        folder, name = os.path.split(path)
        if path != self.base and folder.startswith(self.base):
            self._folder(folder).changes.append((self.number, name, what))

    def _look(self, path: str) -> File | Folder:
        found: File | Folder = self.top
        for name in _parts(path, self.base):
            assert isinstance(found, Folder)
            found = found.now()[name]
        return found

    def _file(self, path: str) -> File:
        found = self._look(path)
        assert isinstance(found, File)
        return found

    def _folder(self, path: str) -> Folder:
        if not path.startswith(self.base):
            return Folder()
        found = self._look(path)
        assert isinstance(found, Folder)
        return found


def _parts(path: str, base: str) -> Sequence[str]:
    return [] if path == base else os.path.relpath(path, base).split(os.sep)


def _load(top: Folder, folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            below = Folder()
            _load(below, path)
            top.synced[path.name] = below
        else:
            data = path.read_bytes()
            top.synced[path.name] = File(data, data)


def _write(top: Folder, place: Path, kept: set[int], policy: str, rng: random.Random) -> None:
    place.mkdir(exist_ok=True)
    for name, what in top.after(kept).items():
        if isinstance(what, Folder):
            _write(what, place / name, kept, policy, rng)
        else:
            (place / name).write_bytes(_bytes_left(what, policy, rng))


def _bytes_left(file: File, policy: str, rng: random.Random) -> bytes:
    if file.synced == file.now:
        return file.now
    lost = file.synced or b""
    half = file.now[: len(file.now) // 2]
    zeros = bytes(len(file.now))
    if policy == MIXED:
        return rng.choice([lost, half, zeros, file.now])
    return {POLICIES[2]: half, POLICIES[3]: zeros}.get(policy, lost)
