"""Digests of model files, remembered by path, size, time of change and inode."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from imgtool.paths import cache_dir

if TYPE_CHECKING:
    from pathlib import Path

CHUNK_BYTES = 1 << 20
# Files that change without changing what a model computes.
IGNORED_SUFFIXES = frozenset({".md", ".log", ".csv", ".png", ".jpg", ".lock"})


def digest(path: Path) -> str:
    """32 hex digits that depend on the content of a file, or of every file of a folder.

    A digest once computed is kept in the user's cache until one of the files changes.
    """
    files = model_files(path)
    signature = [_signature(file, path) for file in files]
    note = cache_dir() / "digests" / f"{_short(str(path.resolve()).encode())}.json"
    known = _recall(note, signature)
    if known:
        return known
    total = hashlib.blake2b(digest_size=16)
    for file in files:
        total.update(_name(file, path).encode() + b"\0")
        total.update(file_hash(file))
    value = total.hexdigest()
    _remember(note, signature, value)
    return value


def model_files(path: Path) -> list[Path]:
    """The files that make a model, in a fixed order."""
    if path.is_file():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file()
        and file.suffix not in IGNORED_SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )


def _name(file: Path, root: Path) -> str:
    # A single file may be renamed freely: it stays the same model.
    return "" if file == root else file.relative_to(root).as_posix()


def _signature(file: Path, root: Path) -> list[object]:
    facts = file.stat()
    return [_name(file, root), facts.st_size, facts.st_mtime_ns, facts.st_ino]


def file_hash(file: Path) -> bytes:
    """64 bytes that depend on a file's content alone."""
    total = hashlib.blake2b()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            total.update(chunk)
    return total.digest()


def _short(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=10).hexdigest()


def _recall(note: Path, signature: list[list[object]]) -> str:
    try:
        kept = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(kept["digest"]) if kept.get("files") == signature else ""


def _remember(note: Path, signature: list[list[object]], value: str) -> None:
    from imgtool.store.atomic import write_file

    text = json.dumps({"format": 1, "files": signature, "digest": value}, sort_keys=True) + "\n"
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_file(note, text.encode())
    except OSError:  # a cache that cannot be written costs time, never the run
        return
