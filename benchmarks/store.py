"""Batches written to and read from a store, against `np.save` with sync of the same arrays.

python benchmarks/store.py [--batches 20]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgtool.batch import Batch
from imgtool.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 16
SHAPES = {"latents": ((8, 32, 32), "float32"), "image": ((1024, 1024, 3), "uint8")}


def seconds(work: Callable[[int], object], count: int) -> float:
    """Wall seconds of `work(0)` … `work(count - 1)`."""
    start = time.perf_counter()
    for number in range(count):
        work(number)
    return time.perf_counter() - start


def save_synced(path: Path, array: np.ndarray) -> None:
    """`np.save`, then wait for the disk."""
    with path.open("wb") as file:
        np.save(file, array)
        file.flush()
        os.fsync(file.fileno())


def compare(folder: Path, field: str, count: int) -> None:
    """Print rows a second, MB a second and the ratios for one field."""
    shape, dtype = SHAPES[field]
    random = np.random.default_rng(0)
    stacked = random.integers(0, 255, (ROWS, *shape)).astype(dtype)
    batch = Batch(tuple(map(str, range(ROWS))), {field: list(stacked)})
    store = Store.open(folder / f"{field}.zarr", "a")
    took = {
        "write": seconds(lambda n: store.write("x-0", f"{n:06d}-x", batch, None, (field,)), count),
        "np.save": seconds(lambda n: save_synced(folder / f"{field}{n}.npy", stacked), count),
        "read": seconds(lambda n: store.read("x-0", f"{n:06d}-x", (field,)), count),
        "np.load": seconds(lambda n: np.load(folder / f"{field}{n}.npy"), count),
    }
    for name, spent in took.items():
        rate = ROWS * count / spent
        megabytes = stacked.nbytes * count / spent / 1e6
        sys.stdout.write(f"{field:8} {name:8} {rate:9.0f} rows/s {megabytes:8.0f} MB/s\n")
    write, read = took["write"] / took["np.save"], took["read"] / took["np.load"]
    sys.stdout.write(f"{field:8} ratio    write {write:.2f}, read {read:.2f} of numpy's time\n")


def main() -> None:
    """Both fields."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for field in SHAPES:
            compare(Path(name), field, options.batches)


if __name__ == "__main__":
    main()
