"""Rows of a finished run, found in its store by name. Reads; never writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.errors import InputEmpty, UnknownComponent, near
from imgtool.store.keys import batch_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from imgtool.batch import Batch
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
    name, record = _record(store, run)
    stages = record.get("stages", [])
    labels = [stage["label"] for stage in stages]
    if label is not None and label not in labels:
        raise UnknownComponent(
            f"run {name!r} has no stage {label!r}",
            f"{near(label, labels)}Stages: {', '.join(labels)}",
        )
    upstream_names = {record["source"]: tuple(record.get("batches", ()))}
    instance, names = record["source"], upstream_names[record["source"]]
    for stage in stages:
        instance = stage["instance"]
        names = names_of(store, instance, upstream_names.get(stage["upstream"], ()))
        upstream_names[instance] = names
        if stage["label"] == label:
            break
    if not names:
        raise InputEmpty(f"run {name!r} of {str(path)!r} has no rows yet")
    first = store.read(instance, names[0], None)
    return Stored(store, name, instance, names, tuple(first.columns))


def names_of(store: Store, instance: str, upstream_names: tuple[str, ...]) -> tuple[str, ...]:
    """Committed batches of `instance` that were made of these of `upstream`."""
    there = store.names(instance)
    derived = [batch_name(int(n.split("-", 1)[0]), instance, n) for n in upstream_names]
    found = tuple(name for name in derived if name in there)
    if found or not there:
        return found
    # A barrier's names depend on all batches: what each was made of says which are meant.
    wanted = set(upstream_names)
    return tuple(sorted(name for name in there if _upstream(store, instance, name) in wanted))


def _upstream(store: Store, instance: str, name: str) -> str:
    from imgtool.store.layout import META, attributes

    upstream = attributes(store.path / instance / name / META)["upstream"]
    return upstream[1] if upstream else ""


def _record(store: Store, run: str | None) -> tuple[str, Mapping[str, Any]]:
    names = store.runs()
    if run is None:
        if not names:
            raise InputEmpty(f"store {str(store.path)!r} has no runs")
        run = max(names, key=lambda name: _recorded_at(store, name))
    record = store.run(run)
    if record is None:
        raise UnknownComponent(
            f"store {str(store.path)!r} has no run {run!r}",
            f"{near(run, names)}Runs: {', '.join(names)}",
        )
    return run, record


def _recorded_at(store: Store, run: str) -> int:
    return (store.path / "runs" / run / "zarr.json").stat().st_mtime_ns


def of_stream(reader: StreamReader) -> Stored:
    """The batches that a stream lists, read as they come."""
    from imgtool.store import Store

    header = reader.header
    store = Store.open(Path(header.store), "r")
    return Stored(store, header.run, header.instance, reader.batches(), header.fields)
