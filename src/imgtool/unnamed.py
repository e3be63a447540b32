"""The store of runs that nobody named: in the user's cache, least recently used runs go first."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.errors import StoreDamaged, UsageError
from imgtool.paths import cache_dir
from imgtool.store.locks import alone, shared
from imgtool.store.store import beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgtool.store import Store

DEFAULT_LIMIT = 10 * 2**30
CHECK_EVERY_S = 600.0
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def unnamed_store() -> Path:
    """Where runs live that were given no store."""
    return cache_dir() / "runs.zarr"


def size_limit() -> int:
    """Bytes that the store may have: `IMGTOOL_CACHE_LIMIT`, such as `20G`, or 10 GiB.

    Raises
    ------
    UsageError : the variable says no size.
    """
    text = os.environ.get("IMGTOOL_CACHE_LIMIT", "").strip().upper().removesuffix("B")
    if not text:
        return DEFAULT_LIMIT
    unit = UNITS.get(text[-1], 1)
    try:
        return int(float(text[:-1] if unit > 1 else text) * unit)
    except ValueError:
        raise UsageError(
            f"IMGTOOL_CACHE_LIMIT is {text!r}, which is no size", "Write 20G, 500M or bytes"
        ) from None


@contextmanager
def in_use(store: Path) -> Iterator[None]:
    """While it is held, nothing is evicted. For another store it does nothing."""
    with shared(beside(store)) if store == unnamed_store() else nullcontext():
        yield


def touch(store: Store, run: str) -> None:
    """Mark a run as used now."""
    record = store.path / "runs" / run / "zarr.json"
    if store.path == unnamed_store() and record.exists():
        os.utime(record)


def evict(limit: int | None = None, *, now: bool = False) -> list[str]:
    """Remove runs, least recently used first, until the store is within `limit` bytes.

    Looks at most every ten minutes unless `now`, and does nothing while any process uses the
    store. Runs whose record says `pinned` stay.

    Returns
    -------
    names of the runs that went.
    """
    path = unnamed_store()
    checked = beside(path) / "checked"
    if not path.exists() or not (now or _is_older(checked, CHECK_EVERY_S)):
        return []
    with alone(beside(path)) as is_free:
        if not is_free:
            return []
        checked.touch()
        return _evict(path, size_limit() if limit is None else limit)


def _evict(path: Path, limit: int) -> list[str]:
    from imgtool.store import Store
    from imgtool.store.gc import collect

    store = Store.open(path, "a")
    _drop_unreadable(store)
    gone: list[str] = []
    by_age = sorted(store.runs(), key=lambda run: _record(store, run).stat().st_mtime_ns)
    size = _bytes(path)
    for run in by_age:
        if size <= limit:
            break
        if (store.run(run) or {}).get("pinned"):
            continue
        shutil.rmtree(_record(store, run).parent)
        collect(store)
        gone.append(run)
        size = _bytes(path)
    return gone


def _drop_unreadable(store: Store) -> None:
    """Remove damaged records: nobody can know what they reach, and all the cache would stay."""
    for run in store.runs():
        try:
            store.run(run)
        except StoreDamaged:
            shutil.rmtree(_record(store, run).parent)


def _record(store: Store, run: str) -> Path:
    return store.path / "runs" / run / "zarr.json"


def _bytes(folder: Path) -> int:
    return sum(
        (Path(base) / name).stat().st_size for base, _, names in os.walk(folder) for name in names
    )


def _is_older(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime > seconds
    except FileNotFoundError:
        return True
