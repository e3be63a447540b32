"""Rows of a finished run, found in its store by name. Reads; never writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.errors import InputEmpty, UnknownComponent, near, some
from imgtool.store.verify import reachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imgtool.batch import Batch, Row
    from imgtool.store import Store
    from imgtool.stream import StreamReader


@dataclass(frozen=True)
class Stored:
    """Committed batches of one stage of a run.

    Attributes
    ----------
    instance : name of the stage's instance in the store.
    names : its batches in order; those of a stream can be asked for once.
    fields : names of fields that the rows have.
    """

    store: Store
    run: str
    instance: str
    names: Iterable[str]
    fields: tuple[str, ...]

    def batches(self, arrays: tuple[str, ...] | None = ()) -> Iterator[tuple[str, Batch]]:
        """Names and batches, one at a time."""
        for name in self.names:
            yield name, self.store.read(self.instance, name, arrays)


def last_batches(path: Path, run: str | None = None, label: str | None = None) -> Stored:
    """Batches of the last stage (or of `label`) of the newest run (or of `run`) of a store.

    Raises
    ------
    StoreNotFound, UnknownComponent, InputEmpty : as the names say.
    """
    from imgtool.store import Store

    store = Store.open(path, "r")
    name = run_named(store, run)
    record = store.run(name) or {}
    stages = record.get("stages", [])
    labels = [stage["label"] for stage in stages]
    if label is not None and label not in labels:
        raise UnknownComponent(
            f"run {name!r} has no stage {label!r}",
            f"{near(label, labels)}Stages: {', '.join(labels)}",
        )
    chosen = [s["instance"] for s in stages if label in (None, s["label"])]
    instance = chosen[-1] if chosen else record["source"]
    names = sorted(reachable(store, record)[instance] & store.names(instance))
    if not names:
        raise InputEmpty(f"run {name!r} of {str(path)!r} has no rows yet")
    first = store.read(instance, names[0], None)
    return Stored(store, name, instance, tuple(names), tuple(first.columns))


def stored_rows(
    path: Path, arrays: tuple[str, ...] = (), run: str | None = None, label: str | None = None
) -> Iterator[Row]:
    """Rows that a run of a store ended with, one batch in memory at a time.

    Parameters
    ----------
    arrays : array fields to read; scalars are always there.
    run, label : name of the run and label of the stage; None: the newest, the last.

    Raises
    ------
    StoreNotFound, UnknownComponent, InputEmpty, StoreDamaged : as the names say.
    """
    for _, batch in last_batches(path, run, label).batches(arrays):
        yield from batch


def newest_run(store: Store) -> str:
    """Name of the run that was recorded last.

    Raises
    ------
    InputEmpty : there is none.
    """
    names = store.runs()
    if not names:
        raise InputEmpty(f"store {str(store.path)!r} has no runs")
    return max(names, key=lambda name: _recorded_at(store, name))


def run_named(store: Store, run: str | None = None) -> str:
    """The run of this name, or the one run whose name begins so; None: the newest.

    Raises
    ------
    InputEmpty, UnknownComponent : there is none, or several begin so.
    """
    names = store.runs()
    if run is None or run in names:
        return run or newest_run(store)
    begin_so = [name for name in names if name.startswith(run)]
    if len(begin_so) == 1:
        return begin_so[0]
    if begin_so:
        what, hint = "several runs that begin with", f"Say which: {some(begin_so)}"
    else:
        what, hint = "no run", f"{near(run, names)}Runs: {some(names)}"
    raise UnknownComponent(f"store {str(store.path)!r} has {what} {run!r}", hint)


def _recorded_at(store: Store, run: str) -> int:
    return (store.path / "runs" / run / "zarr.json").stat().st_mtime_ns


def of_stream(reader: StreamReader) -> Stored:
    """The batches that a stream lists, read as they come."""
    from imgtool.store import Store

    header = reader.header
    store = Store.open(Path(header.store), "r")
    return Stored(store, header.run, header.instance, reader.batches(), header.fields)
