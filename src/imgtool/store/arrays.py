"""Array columns of a batch: one Zarr array a field and shape, rows along the first axis.

The metadata is written by hand, so that every byte is ours and synced; the chunks are raw
little-endian bytes with a crc32c, which zarr checks whenever it reads them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imgtool import fields
from imgtool.errors import StoreDamaged
from imgtool.store import layout
from imgtool.store.atomic import write_synced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CHUNK_BYTES = 8 << 20


def fields_of(groups: Mapping[str, list[int]]) -> list[str]:
    """Field names of array names such as `latents.4x8x8`."""
    return sorted({name.rsplit(".", 1)[0] for name in groups})


def write_field(folder: Path, field: str, values: Sequence[Any]) -> dict[str, list[int]]:
    """Write one array for each shape and dtype; returns array name to the rows that it holds."""
    import numpy as np

    groups: dict[tuple[str, str], list[int]] = {}
    for row, value in enumerate(values):
        if value is not None:
            array = np.asarray(value)
            shape = "x".join(str(n) for n in array.shape) or "scalar"
            groups.setdefault((shape, str(array.dtype)), []).append(row)
    shapes = [shape for shape, _ in groups]
    named = {}
    for (shape, dtype), rows in groups.items():
        name = f"{field}.{shape}" if shapes.count(shape) == 1 else f"{field}.{shape}-{dtype}"
        stacked = np.ascontiguousarray(np.stack([np.asarray(values[row]) for row in rows]))
        _write_array(folder / name, field, stacked)
        named[name] = rows
    return named


def _write_array(folder: Path, field: str, stacked: Any) -> None:
    import google_crc32c

    folder.mkdir()
    little = stacked.astype(stacked.dtype.newbyteorder("<"), copy=False)
    row_bytes = max(1, little[0].nbytes)
    step = max(1, min(len(little), CHUNK_BYTES // row_bytes))
    write_synced(folder / "zarr.json", _metadata(field, little, step))
    if little.nbytes == 0:
        return
    below = folder / "c"
    tail = ["0"] * (little.ndim - 1)
    for index, at in enumerate(range(0, len(little), step)):
        part = little[at : at + step]
        data = part.tobytes()
        if len(part) < step:  # chunks are full by the format; the surplus is never read
            data += bytes((step - len(part)) * row_bytes)
        path = below.joinpath(str(index), *tail)
        path.parent.mkdir(parents=True, exist_ok=True)
        checksum = google_crc32c.value(data).to_bytes(4, "little")
        write_synced(path, data + checksum)


def _metadata(field: str, array: Any, step: int) -> bytes:
    dims = fields.KNOWN[field].dims if field in fields.KNOWN else ()
    inner = list(dims) if len(dims) == array.ndim - 1 else [f"d{n}" for n in range(array.ndim - 1)]
    fill: object = False if array.dtype == bool else 0.0 if array.dtype.kind == "f" else 0
    value = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(array.shape),
        "data_type": str(array.dtype.newbyteorder("=")),
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [step, *(max(1, n) for n in array.shape[1:])]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}}
            if array.itemsize > 1
            else {"name": "bytes"},
            {"name": "crc32c"},
        ],
        "attributes": {"field": field},
        "dimension_names": ["row", *inner],
        "storage_transformers": [],
    }
    return json.dumps(value, sort_keys=True, indent=1).encode() + b"\n"


def read_field(
    folder: Path,
    field: str,
    groups: Mapping[str, list[int]],
    digests: Mapping[str, str],
    rows: Sequence[int],
) -> list[Any]:
    """Values of `field` for `rows`; rows without one are None.

    Parameters
    ----------
    digests : array name to the digest of its `zarr.json`.

    Raises
    ------
    StoreDamaged : an array's shape or type was changed, or a chunk is missing; zarr would read it
        as zeros.
    """
    import numpy as np
    import zarr

    values: dict[int, Any] = {}
    wanted = set(rows)
    for name, held in groups.items():
        if name.rsplit(".", 1)[0] != field or not wanted & set(held):
            continue
        require_metadata(folder / name, digests.get(name))
        array = zarr.open_array(folder / name, mode="r")
        require_chunks(folder / name, array)
        whole = np.asarray(array[:])
        for at, row in enumerate(held):
            if row in wanted:
                values[row] = np.asarray(whole[at])
    return [values.get(row) for row in rows]


def require_metadata(folder: Path, digest: str | None) -> None:
    """Raises StoreDamaged where an array's `zarr.json` is missing or another than was written."""
    path = folder / layout.META
    if not path.exists() or layout.file_digest(path) != digest:
        raise StoreDamaged(f"the shape or type of {folder.name} is missing or was changed")


def require_chunks(folder: Path, array: Any) -> None:
    """Raises StoreDamaged where a chunk file is missing or has another size than it must."""
    if array.nbytes == 0:
        return
    step = array.chunks[0]
    size = step * (array.nbytes // array.shape[0]) + 4
    tail = ["0"] * (array.ndim - 1)
    for index in range(-(-array.shape[0] // step)):
        path = folder.joinpath("c", str(index), *tail)
        if not path.exists() or path.stat().st_size != size:
            raise StoreDamaged(f"chunk {path.relative_to(folder.parent)} is missing or cut")
