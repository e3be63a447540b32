"""Statistics of features and of pictures that stream by: rate and memory, for few and for many.

python benchmarks/sets.py [--features 50000] [--width 2048] [--pictures 2000]

Memory is that of a fresh process a case, above what its imports take. Statistics are flat where
a third of the rows takes as much; the sample is full after 10,000.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from imgtool_score.sets.collecting import KEPT, Collector
from imgtool_score.sets.frechet import Gaussian, frechet_distance
from imgtool_score.sets.measuring import BadPictures, Measuring
from imgtool_score.sets.pictures import Picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH = 250
MIB = 1 << 20


def peak() -> int:
    """Bytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Pooled:
    """Colours of an 8×8 thumbnail: an extractor that costs nothing beside reading and resizing."""

    edge, width, fingerprint = 64, 192, "pooled"

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """[B, 192] of [B, 3, 64, 64]."""
        blocks = pixels.reshape(len(pixels), 3, 8, 8, 8, 8)
        found: np.ndarray = blocks.mean((3, 5), dtype=np.float32).reshape(len(pixels), -1)
        return found


def add_features(count: int, width: int) -> None:
    """`count` random features of `width` numbers, as an extractor would give them."""
    rng = np.random.default_rng(0)
    collector = Collector(width, KEPT)
    for at in range(0, count - count % BATCH, BATCH):
        names = [f"{n}.png" for n in range(at, at + BATCH)]
        collector.add(names, rng.standard_normal((BATCH, width), np.float32))
    collector.finish()


def add_pictures(count: int, edge: int) -> None:
    """`count` pictures of `edge` × `edge` pixels that never lie on a disk."""
    noise = np.random.default_rng(0).integers(0, 255, (edge, edge, 3), np.uint8)

    def pictures() -> Iterator[Picture]:
        for number in range(count):
            yield Picture(f"{number}.png", lambda number=number: noise + np.uint8(number % 251))

    Measuring(Pooled(), "pooled", "").collect(pictures(), Collector(192), BadPictures())


def measured(work: Callable[[int, int], None], count: int, size: int) -> tuple[float, int]:
    """Rows a second, and bytes above those of the start; of a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (work, count, size))


def _measure(work: Callable[[int, int], None], count: int, size: int) -> tuple[float, int]:
    before, start = peak(), time.perf_counter()
    work(count, size)
    return count / (time.perf_counter() - start), peak() - before


def report(name: str, work: Callable[[int, int], None], count: int, size: int) -> None:
    """Print both cases of one kind of work."""
    for part in (count // 3, count):
        rate, taken = measured(work, part, size)
        print(f"{name:24} {part:7,} {rate:9,.0f} rows/s {taken / MIB:7.0f} MiB", flush=True)


def time_distance(width: int) -> None:
    """Print what one distance costs."""
    root = np.random.default_rng(0).standard_normal((width, width))
    start = time.perf_counter()
    one, two = Gaussian(np.zeros(width), root @ root.T), Gaussian(np.ones(width), root.T @ root)
    frechet_distance(one, two)
    print(f"{f'distance, {width} numbers':24} {time.perf_counter() - start:9.1f} s")


def main() -> int:
    """Run all cases."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--features", type=int, default=50_000)
    options.add_argument("--width", type=int, default=2048)
    options.add_argument("--pictures", type=int, default=2_000)
    options.add_argument("--edge", type=int, default=512)
    given = options.parse_args()
    report(f"features of {given.width}", add_features, given.features, given.width)
    report(f"pictures of {given.edge}²", add_pictures, given.pictures, given.edge)
    time_distance(given.width)
    return 0


if __name__ == "__main__":
    sys.exit(main())
