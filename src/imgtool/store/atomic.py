"""The one place that opens a final path for writing: temporary, synced, renamed.

After a return the bytes survive a power cut; before it, the final path is as it was.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imgtool.errors import OutputUnwritable, StorageFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARK = ".imgtool-tmp-"
FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals at `path` into errors that users can act on.

    Raises
    ------
    StorageFull, OutputUnwritable : no room, or no permission.
    """
    try:
        yield
    except OSError as err:
        if err.errno in FULL:
            raise StorageFull(
                f"no space left while writing {str(path)!r}",
                "Free some space and give the same command again: it goes on from here",
            ) from err
        raise OutputUnwritable(
            f"cannot write {str(path)!r}: {err.strerror or err}",
            "Choose a folder that you may write",
        ) from err


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and sync its bytes, not its name; for files of a folder still private."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_file(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step; folders on the way are made.

    Raises
    ------
    StorageFull, OutputUnwritable : as `explained` says; nothing is left behind.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{MARK}{secrets.token_hex(6)}")
        try:
            write_synced(temporary, data)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextmanager
def committed_folder(final: Path) -> Iterator[Path]:
    """A private folder that becomes `final` by one rename when the block ends.

    Where `final` is there already, by another writer of the same contents, ours is dropped.
    Files must be synced by their writer (`write_synced`).
    """
    with explained(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        private = final.parent / f"{MARK}{secrets.token_hex(6)}"
        private.mkdir()
        try:
            yield private
            for folder in (private, *(p for p in private.rglob("*") if p.is_dir())):
                sync_folder(folder)
            try:
                private.rename(final)
            except OSError as err:
                if err.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            sync_folder(final.parent)
        finally:
            shutil.rmtree(private, ignore_errors=True)


def remove_leftovers(folder: Path) -> int:
    """Delete what killed writers left directly in `folder`; returns how many."""
    found = [p for p in folder.glob(f"{MARK}*")] if folder.is_dir() else []
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(found)
