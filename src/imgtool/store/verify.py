"""Reads every byte of a store, says what is bad, and withdraws it for the next run to redo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.errors import StoreDamaged, StoreTooNew
from imgtool.store import arrays, layout
from imgtool.store.atomic import write_file
from imgtool.store.keys import barrier_batch_names, batch_name, source_batch_name
from imgtool.store.store import ROOT, RUNS, Store, looks_like_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Damage:
    """One bad batch, or a bad file that holds no rows.

    Attributes
    ----------
    runs : names of the runs that have it.
    instance, batch : where it is; empty for what holds no rows.
    field : array field that is bad, or empty when the rows themselves are.
    rows : ids of the rows concerned, where they can still be read.
    reason : what is wrong.
    """

    runs: tuple[str, ...]
    instance: str
    batch: str
    field: str
    rows: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        if not self.batch:
            return f"{self.instance or 'the store'}: {self.reason}"
        where = f"{self.instance}/{self.batch}" + (f" field {self.field}" if self.field else "")
        runs = f" of run {', '.join(self.runs)}" if self.runs else ""
        return f"{where}{runs}: {self.reason} (rows {' '.join(self.rows) or 'unknown'})"


def verify(store: Store, repair: bool = True) -> list[Damage]:
    """Every damage in the store; with `repair` bad batches are withdrawn and leftovers removed.

    Found: missing, cut or changed chunks, metadata that cannot be read or was changed, source rows
    that do not match their name, upstream batches that are gone.

    Raises
    ------
    StoreReadOnly : `repair`, and the store cannot be written.
    """
    if repair:
        store.tidy()
    found = list(_bare_faults(store, repair))
    users = _users(store)
    for instance in store.instances():
        for name in sorted(store.names(instance)):
            for field, rows, reason in _faults(store, instance, name):
                runs = tuple(sorted(users.get(instance, ())))
                found.append(Damage(runs, instance, name, field, rows, reason))
    if repair:
        for instance, name in {(d.instance, d.batch) for d in found if d.batch}:
            store.withdraw(instance, name)
    return found


def mend_root(path: Path) -> list[Damage]:
    """Write the file anew by which a store is known, where it is damaged; what was wrong.

    A folder that holds nothing of a store is left alone, and so is a newer format.
    """
    root = path / layout.META
    if not looks_like_store(path) or (root.exists() and root.read_bytes() == ROOT):
        return []
    try:
        Store.open(path, "r")
    except StoreTooNew:
        return []
    except StoreDamaged:
        pass
    write_file(root, ROOT)
    return [Damage((), "", "", "", (), f"{layout.META} was changed or gone, and is written anew")]


def _bare_faults(store: Store, repair: bool) -> Iterator[Damage]:
    """Damage of files that hold no rows; with `repair` they go, and the next run writes them."""
    runs = store.path / "runs" / layout.META
    records = sorted(runs.parent.glob(f"*/{layout.META}"))
    if records and (not runs.exists() or runs.read_bytes() != RUNS):
        if repair:
            write_file(runs, RUNS)
        yield Damage((), "runs", "", "", (), f"its {layout.META} is missing or changed")
    for path in records:
        if not _is_sealed(path):
            _remove(path, repair)
            reason = "its record was changed; run it again before store gc, which else removes it"
            yield Damage((path.parent.name,), f"run {path.parent.name}", "", "", (), reason)
    for instance in store.instances():
        path = store.path / instance / layout.META
        # Before its first batch an instance may just be in the making.
        if not _is_sealed(path) and store.names(instance):
            _remove(path, repair)
            yield Damage((), instance, "", "", (), "what it is, is missing or changed")


def _is_sealed(path: Path) -> bool:
    try:
        layout.unsealed(path)
    except (OSError, ValueError):
        return False
    return True


def _remove(path: Path, repair: bool) -> None:
    if repair:
        path.unlink(missing_ok=True)


def _users(store: Store) -> dict[str, set[str]]:
    users: dict[str, set[str]] = {}
    for run in store.runs():
        try:
            record = store.run(run) or {}
        except StoreDamaged:  # said already
            continue
        keys = [record.get("source"), *(stage["instance"] for stage in record.get("stages", ()))]
        for key in filter(None, keys):
            users.setdefault(str(key), set()).add(run)
    return users


def _faults(store: Store, instance: str, name: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    folder = store.path / instance / name
    path = folder / layout.META
    try:
        data = path.read_bytes()
        attributes = layout.attributes(path)
        batch = layout.batch_from(attributes)
        digest = attributes["arrays_digest"]
    except (OSError, ValueError, KeyError, TypeError) as err:
        yield "", (), f"its rows cannot be read: {err}"
        return
    if not layout.is_intact(data, attributes):
        yield "", batch.ids, "its rows were changed"
        return
    held = sorted(p.name for p in folder.iterdir() if p.is_dir())
    if sorted(attributes["arrays"]) != held:
        yield "", batch.ids, "an array is missing or was added"
        return
    is_whole = True
    for array, rows in attributes["arrays"].items():
        ids = tuple(batch.ids[row] for row in rows)
        reason = _array_fault(folder / array, digest.get(array))
        if reason:
            is_whole = False
            yield array.rsplit(".", 1)[0], ids, reason
    if batch.failures and not store.has_failures(instance):
        yield "", batch.ids, "the mark that rows failed in it is gone"
    upstream = attributes.get("upstream")
    if upstream is not None:
        if not store.has(upstream[0], upstream[1]):
            yield "", batch.ids, f"the batch {'/'.join(upstream)} that it was made of is gone"
        elif name != batch_name(batch.number, instance, upstream[1]) and not _is_barrier(
            name, batch
        ):
            yield "", batch.ids, "its name does not follow from its upstream"
    elif is_whole and name != source_batch_name(
        batch.number, instance, store.read(instance, name, None)
    ):
        yield "", batch.ids, "its rows do not match its name"


def _is_barrier(name: str, batch: Any) -> bool:
    # A barrier's name needs the names of all batches of a run: its number is what can be checked.
    return name.startswith(f"{batch.number:06d}-")


def _array_fault(folder: Any, digest: str | None) -> str:
    import zarr

    try:
        arrays.require_metadata(folder, digest)
        array = zarr.open_array(folder, mode="r")
        arrays.require_chunks(folder, array)
        array[:]  # the crc32c of every chunk is checked by reading it
    except StoreDamaged as err:
        return err.message
    except Exception as err:  # noqa: BLE001 - zarr raises many kinds for damaged bytes
        return f"its bytes were changed: {(str(err) or type(err).__name__).splitlines()[0]}"
    return ""


def reachable(store: Store, record: Mapping[str, Any]) -> dict[str, set[str]]:
    """Instance to names of the batches that a run's record reaches."""
    names = {str(record["source"]): list(record["batches"])}
    for stage in record["stages"]:
        above = names.get(stage["upstream"], [])
        if stage.get("barrier"):
            names[stage["instance"]] = barrier_batch_names(stage["instance"], sorted(above))
        else:
            names[stage["instance"]] = [
                batch_name(int(name.split("-", 1)[0]), stage["instance"], name) for name in above
            ]
    return {key: set(found) for key, found in names.items()}
