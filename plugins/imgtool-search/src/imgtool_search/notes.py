"""Drawn and judged rows as bytes: what a search has paid for, kept in the journal of its batch."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from imgtool.api import Batch, Failure, write_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCALARS = "rows"


def noted(folder: Path, key: str, make: Callable[[], Batch]) -> Batch:
    """What was noted under `key`, else what `make` gives, noted: whole or not at all.

    Raises
    ------
    OutputUnwritable, StorageFull : as the names say.
    """
    file = folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.npz"
    if file.is_file():
        return unpacked(file.read_bytes())
    batch = make()
    folder.mkdir(parents=True, exist_ok=True)
    write_file(file, packed(batch))
    return batch


def packed(batch: Batch) -> bytes:
    """The batch as an .npz: an array for each value that is one, and JSON for everything else."""
    import numpy as np

    arrays: dict[str, Any] = {}
    scalars: dict[str, list[Any]] = {}
    for name, values in batch.columns.items():
        scalars[name] = [None if isinstance(v, np.ndarray) else v for v in values]
        arrays |= {
            f"{name}/{at}": value
            for at, value in enumerate(values)
            if isinstance(value, np.ndarray)
        }
    failures = {row_id: asdict(failure) for row_id, failure in batch.failures.items()}
    rest = [batch.ids, batch.parents, scalars, failures, batch.number]
    arrays[SCALARS] = np.frombuffer(json.dumps(rest).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def unpacked(data: bytes) -> Batch:
    """The inverse of `packed`."""
    import numpy as np

    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = dict(file.items())
    ids, parents, columns, failures, number = json.loads(arrays.pop(SCALARS).tobytes())
    for key, array in arrays.items():
        name, _, at = key.rpartition("/")
        columns[name][int(at)] = array
    reasons = {row_id: Failure(**failure) for row_id, failure in failures.items()}
    return Batch(tuple(ids), columns, tuple(parents), reasons, number)
