"""Source rows become committed batches: the first instance of every run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imgtool.batch import Batch
from imgtool.errors import BadRowId, InputEmpty
from imgtool.store.keys import instance_key, source_batch_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from imgtool.batch import Value
    from imgtool.engine.request import StreamSource
    from imgtool.store import Store

DEFAULT_ROWS = 16
FAMILY_ROWS = 4096
SOURCE_KEY = instance_key("source", 1, {}, "", None)


def batches_of(rows: Iterable[Mapping[str, Value]], size: int) -> Iterator[Batch]:
    """Batches of `size` rows, numbered; the last may be smaller.

    One that would end between children of one parent (`7.0`, `7.1`) goes on to the last of them,
    by `FAMILY_ROWS` rows at most.

    Raises
    ------
    BadRowId : an id comes twice.
    """
    seen: set[str] = set()
    for number, chunk in enumerate(_chunks(rows, size)):
        ids = tuple(str(row["id"]) for row in chunk)
        for row_id in ids:
            if row_id in seen:
                raise BadRowId(
                    f"row id {row_id!r} comes twice", "Ids name results: make them unique"
                )
            seen.add(row_id)
        names = dict.fromkeys(name for row in chunk for name in row if name != "id")
        columns = {name: [row.get(name) for row in chunk] for name in names}
        yield Batch(ids=ids, columns=columns, number=number)


def _chunks(rows: Iterable[Mapping[str, Value]], size: int) -> Iterator[list[Mapping[str, Value]]]:
    chunk: list[Mapping[str, Value]] = []
    family = ""
    for row in rows:
        before, family = family, str(row["id"]).rpartition(".")[0]
        room = size + FAMILY_ROWS if family and family == before else size
        if len(chunk) >= room:
            yield chunk
            chunk = []
        chunk.append(row)
        # The next row may be long in coming: only a family waits for it.
        if len(chunk) >= size and not family:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def commit_source(store: Store, batch: Batch) -> str:
    """Name of the committed batch; written unless it is there."""
    arrays = [
        name
        for name, values in batch.columns.items()
        if any(hasattr(value, "dtype") for value in values)
    ]
    name = source_batch_name(batch.number, SOURCE_KEY, batch)
    store.write_instance(
        SOURCE_KEY, {"stage": "source", "version": 1, "params": {}, "upstream": None}
    )
    if not store.has(SOURCE_KEY, name):
        store.write(SOURCE_KEY, name, batch, None, arrays)
    return name


def is_from(row_id: str, target: str) -> bool:
    """Whether a row is `target` or descends from it."""
    return row_id == target or row_id.startswith(f"{target}.")


def no_row(target: str) -> InputEmpty:
    """The error of a row that is not there."""
    return InputEmpty(
        f"no row of the input is {target!r}, or leads to it",
        "Rows are numbered from 0, unless the input names them by `id`",
    )


def leading_to(
    rows: Iterable[Mapping[str, Value]], target: str | None
) -> Iterator[Mapping[str, Value]]:
    """Only the source rows in the lineage of `target`; every row where it is None."""
    for row in rows:
        if target is None or _are_related(str(row["id"]), target):
            yield row


def batches_leading_to(store: Store, rows: StreamSource, target: str | None) -> Iterator[str]:
    """Names of the batches with a row in the lineage of `target`; every name where it is None."""
    for name in rows.batches:
        if target is None or len(rows_of_lineage(store.read(rows.instance, name), target)):
            yield name


def rows_of_lineage(batch: Batch, target: str | None) -> Batch:
    """Only the rows that are `target`, that it descends from, or that descend from it.

    Every row where `target` is None.
    """
    if target is None:
        return batch
    return batch.keep([i for i, row_id in enumerate(batch.ids) if _are_related(row_id, target)])


def rows_from(batch: Batch, target: str) -> Batch:
    """Only the rows, those that failed too, that are `target` or descend from it."""
    kept = batch.keep([i for i, row_id in enumerate(batch.ids) if is_from(row_id, target)])
    failures = {row_id: why for row_id, why in batch.failures.items() if is_from(row_id, target)}
    return replace(kept, failures=failures)


def _are_related(one: str, other: str) -> bool:
    return is_from(one, other) or is_from(other, one)
