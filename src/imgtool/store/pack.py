"""A run as one sharded Zarr array a field, for archives and analysis."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imgtool.errors import OutputUnwritable, StoreDamaged, UnknownComponent, near, some
from imgtool.store import layout
from imgtool.store.atomic import committed_folder, sync_files
from imgtool.store.verify import reachable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imgtool.batch import Batch
    from imgtool.store.store import Store

SHARD_ROWS, CHUNK_ROWS = 256, 16


def pack(store: Store, run: str, out: Path) -> None:
    """Write the rows that a run ended with: `ids` and scalars as JSON attributes, one array a
    field and shape, sharded, with the attribute `rows` saying which rows it holds.

    Raises
    ------
    UnknownComponent : the store has no such run.
    StoreDamaged : the run was not finished, or batches of it were withdrawn.
    OutputUnwritable : `out` exists.
    """
    record = store.run(run)
    if record is None:
        known = store.runs()
        raise UnknownComponent(
            f"no run {run!r} in {str(store.path)!r}",
            f"{near(run, known)}Runs: {some(known)}",
        )
    if out.exists():
        raise OutputUnwritable(f"{str(out)!r} exists", "Give a new folder")
    last = record["stages"][-1]["instance"] if record["stages"] else record["source"]
    names = sorted(reachable(store, record)[last])
    missing = len(set(names) - store.names(last))
    if missing:
        raise StoreDamaged(
            f"{missing} of the {len(names)} batches of run {run!r} are not there",
            "Run it again, then pack it",
        )
    with committed_folder(out) as folder:
        _write(store, last, names, run, folder)
        sync_files(folder)


def _write(store: Store, instance: str, names: Sequence[str], run: str, folder: Path) -> None:
    import zarr

    ids: list[str] = []
    scalars: dict[str, list[object]] = {}
    groups: dict[str, tuple[tuple[int, ...], str, list[int]]] = {}
    for name in names:
        batch = store.read(instance, name, None)
        for row in batch:
            value: Any
            for field, value in row.values.items():
                if hasattr(value, "dtype"):
                    key = f"{field}.{'x'.join(map(str, value.shape))}"
                    groups.setdefault(key, (value.shape, str(value.dtype), []))[2].append(len(ids))
                elif value is not None:
                    column = scalars.setdefault(field, [])
                    column += [None] * (len(ids) - len(column)) + [layout.plain(value)]
            ids.append(row.id)
    padded = {field: v + [None] * (len(ids) - len(v)) for field, v in scalars.items()}
    attributes = {"run": run, "ids": ids, "scalars": padded}
    root = zarr.create_group(
        store=str(folder), zarr_format=3, attributes=json.loads(json.dumps(attributes))
    )
    open_arrays = {key: _array(root, key, *group) for key, group in groups.items()}
    at = dict.fromkeys(groups, 0)
    for name in names:
        _append(store.read(instance, name, None), open_arrays, at)


def _array(root: Any, key: str, shape: tuple[int, ...], dtype: str, rows: list[int]) -> Any:
    return root.create_array(
        name=key,
        shape=(len(rows), *shape),
        dtype=dtype,
        chunks=(CHUNK_ROWS, *(max(1, n) for n in shape)),
        shards=(SHARD_ROWS, *(max(1, n) for n in shape)),
        attributes={"rows": rows},
    )


def _append(batch: Batch, open_arrays: dict[str, Any], at: dict[str, int]) -> None:
    import numpy as np

    found: dict[str, list[Any]] = {}
    value: Any
    for row in batch:
        for field, value in row.values.items():
            if hasattr(value, "dtype"):
                key = f"{field}.{'x'.join(map(str, value.shape))}"
                found.setdefault(key, []).append(value)
    for key, values in found.items():
        open_arrays[key][at[key] : at[key] + len(values)] = np.stack(values)
        at[key] += len(values)
