"""Source rows become committed batches: the first instance of every run."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from imgtool.batch import Batch
from imgtool.errors import BadRowId
from imgtool.store.keys import instance_key, source_batch_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from imgtool.batch import Value
    from imgtool.store import Store

DEFAULT_ROWS = 16
SOURCE_KEY = instance_key("source", 1, {}, "", None)


def batches_of(rows: Iterable[Mapping[str, Value]], size: int) -> Iterator[Batch]:
    """Batches of `size` rows, numbered; the last may be smaller.

    Raises
    ------
    BadRowId : an id comes twice.
    """
    seen: set[str] = set()
    iterator = iter(rows)
    for number in itertools.count():
        chunk = list(itertools.islice(iterator, size))
        if not chunk:
            return
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


def leading_to(
    rows: Iterable[Mapping[str, Value]], target: str | None
) -> Iterator[Mapping[str, Value]]:
    """Only the source row that `target` is or descends from; every row where it is None."""
    for row in rows:
        if target is None or target == row["id"] or target.startswith(f"{row['id']}."):
            yield row


def rows_of_lineage(batch: Batch, target: str) -> Batch:
    """Only the rows that are `target`, or that it descends from."""
    return batch.keep(
        [
            index
            for index, row_id in enumerate(batch.ids)
            if target == row_id or target.startswith(f"{row_id}.")
        ]
    )
