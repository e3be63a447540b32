"""Who uses a store: runs share it, and who removes what no record reaches must have it alone.

Locks are of the system, so that those of a killed process are gone with it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imgtool.store.atomic import explained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = "in-use"


@contextmanager
def shared(beside: Path) -> Iterator[None]:
    """While it is held, nobody has the store that `beside` belongs to alone.

    Where the lock cannot be made nothing can be removed either, and none is held.
    """
    try:
        handle = _opened(beside)
    except OSError:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextmanager
def alone(beside: Path) -> Iterator[bool]:
    """Whether no other process uses the store; if so, none begins to while it is held."""
    handle = _opened(beside)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)


def _opened(beside: Path) -> int:
    with explained(beside):
        beside.mkdir(parents=True, exist_ok=True)
        return os.open(beside / LOCK, os.O_CREAT | os.O_RDWR, 0o644)
