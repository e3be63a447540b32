"""The one place that opens a final path for writing: temporary, synced, renamed.

After a return the bytes survive a power cut; before it, the final path is as it was.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from imgtool.errors import ImgtoolError, OutputUnwritable, StorageFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    except ImgtoolError:  # explained already, further in; it is an OSError too
        raise
    except OSError as err:
        if err.errno is None:  # a library's own words, which are not about `path`
            raise
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


def sync_files(folder: Path) -> None:
    """Make the bytes of all files below `folder` durable, for libraries that write and leave it."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and sync its bytes, not its name; for files of a folder still private."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: Path) -> None:
    """Make `path` and what is missing above it; their names survive a power cut."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    with suppress(PermissionError):  # a folder that may be written but not listed
        sync_folder(path.parent)


@contextmanager
def _temporary(folder: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """A private name in `folder`, locked: `remove_leftovers` sees that its writer lives."""
    path = folder / f"{MARK}{secrets.token_hex(6)}"
    handle = None
    while handle is None:
        make(path)
        handle = _lock(path)
    try:
        yield path
    finally:
        os.close(handle)


def _lock(path: Path) -> int | None:
    """A handle that holds `path`; None where it was taken for a leftover before it was locked."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with suppress(OSError):  # not every file system has locks
        fcntl.flock(handle, fcntl.LOCK_EX)
    if path.exists():
        return handle
    os.close(handle)
    return None


def write_file(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step; folders on the way are made.

    A link stays, and what it points to is replaced; a device or pipe is written to.

    Raises
    ------
    StorageFull, OutputUnwritable : as `explained` says; nothing is left behind.
    """
    with explained(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)
            return
        path = path.resolve()
        make_folder(path.parent)
        with _temporary(path.parent, lambda private: private.touch()) as private:
            try:
                write_synced(private, data)
                private.replace(path)
            except BaseException:
                private.unlink(missing_ok=True)
                raise
        sync_folder(path.parent)


@contextmanager
def committed_folder(final: Path) -> Iterator[Path]:
    """A private folder that becomes `final` by one rename when the block ends.

    Where `final` is there already, by another writer of the same contents, ours is dropped.
    Files must be synced by their writer (`write_synced`, `sync_files`).
    """
    with explained(final):
        make_folder(final.parent)
        with _temporary(final.parent, lambda private: private.mkdir()) as private:
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


def remove_folder(folder: Path) -> None:
    """Take a folder away in one step: after a power cut it is there whole, or gone."""
    with explained(folder):
        doomed = folder.with_name(f"{MARK}{secrets.token_hex(6)}")
        with suppress(FileNotFoundError):
            folder.rename(doomed)
            sync_folder(folder.parent)
            shutil.rmtree(doomed, ignore_errors=True)


def remove_leftovers(folder: Path) -> int:
    """Delete what dead writers left directly in `folder`; returns how many."""
    if not folder.is_dir():
        return 0
    found = [path for path in folder.iterdir() if path.name.startswith(MARK)]
    return sum(_remove_if_dead(path) for path in found)


def _remove_if_dead(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:  # its writer lives, or it cannot be known
        return False
    finally:
        os.close(handle)
    return True
