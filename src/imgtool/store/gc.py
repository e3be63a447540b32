"""Removes what no run reaches."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool.errors import StoreBusy, counted
from imgtool.store.locks import alone
from imgtool.store.verify import reachable

if TYPE_CHECKING:
    from imgtool.store.store import Store


@dataclass(frozen=True)
class GcReport:
    """Counts of what went, or would go: batches, instances without any left, and bytes."""

    batches: int
    instances: int
    bytes: int
    dry_run: bool

    def __str__(self) -> str:
        verb = "would remove" if self.dry_run else "removed"
        size = self.bytes / 2**20
        batches = counted(self.batches, "batch", "batches")
        return f"{verb} {batches} and {counted(self.instances, 'instance')}, {size:.1f} MiB"


def clean(store: Store) -> GcReport:
    """`collect`, while nobody uses the store: a run is recorded after its first batches.

    Raises
    ------
    StoreBusy : a run uses it.
    StoreReadOnly : the store cannot be written.
    """
    store.require_writable()
    with alone(store.beside) as is_free:
        if not is_free:
            raise StoreBusy(f"store {str(store.path)!r} is used by a run")
        return collect(store)


def collect(store: Store, dry_run: bool = False) -> GcReport:
    """Remove batches that no run's record reaches, notes for such, and what killed writers left.

    Raises
    ------
    StoreReadOnly : the store cannot be written, and it is no dry run.
    """
    if not dry_run:
        store.require_writable()
    kept: dict[str, set[str]] = {}
    for run in store.runs():
        record = store.run(run)
        for key, names in reachable(store, record or {}).items() if record else ():
            kept.setdefault(key, set()).update(names)
    _keep_upstream(store, kept)
    batches = instances = size = 0
    for instance in store.instances():
        gone = store.names(instance) - kept.get(instance, set())
        for name in gone:
            folder = store.path / instance / name
            size += sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
            if not dry_run:
                store.withdraw(instance, name)
        batches += len(gone)
        if instance not in kept:
            instances += 1
            if not dry_run:
                shutil.rmtree(store.path / instance)
    if not dry_run:
        store.drop_journals(kept)
        store.tidy()
    return GcReport(batches, instances, size, dry_run)


def _keep_upstream(store: Store, kept: dict[str, set[str]]) -> None:
    """Keep what kept batches were made of: their rows are read through it."""
    left = [(key, name) for key, names in kept.items() for name in names & store.names(key)]
    while left:
        above = store.upstream(*left.pop())
        if above is not None and above[1] not in kept.setdefault(above[0], set()):
            kept[above[0]].add(above[1])
            left.append(above)
