"""Time of the blocked OBS solver against the plain column loop, in one run, as ratios.

    python benchmarks/prune_solver.py [--width 3072] [--rows 64,256,768,3072] [--threads 2]

Both prune half of a random weight in float32, with the Hessian factorised beforehand: under a mask
given to both, where the results must agree to 1e-5 of the largest weight, and under the mask that
each decides block by block. The least of `--runs` times counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from imgtool_prune.factor import damp
from imgtool_prune.obs import prune_columns
from imgtool_prune.patterns import Given, Pattern, Unstructured, smallest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

sys.path.append(str(Path(__file__).parents[1] / "plugins" / "imgtool-prune" / "tests"))

from column_loop import column_loop

AGREEMENT = 1e-5


def least_seconds(
    works: Sequence[Callable[[], object]],
    runs: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """The shortest of `runs` times of each by `clock`, taken in turn after one to warm up."""
    least = [float("inf")] * len(works)
    for run in range(runs + 1):
        for index, work in enumerate(works):
            begin = clock()
            work()
            if run:
                least[index] = min(least[index], clock() - begin)
    return least


def compare(rows: int, upper: torch.Tensor, runs: int) -> bool:
    """Print one line; whether both solvers agree."""
    width = len(upper)
    weight = torch.randn(rows, width, generator=torch.Generator().manual_seed(rows))
    dead = torch.zeros(width, dtype=torch.bool)
    half, given = Unstructured(0.5), Given(smallest(weight.abs(), weight.numel() // 2))

    def loop(pattern: Pattern) -> torch.Tensor:
        def choose(scores: torch.Tensor, begin: int) -> torch.Tensor:
            return pattern.choose(scores, dead[: scores.shape[1]], begin)

        return column_loop(weight, upper, choose)[0]

    def blocked(pattern: Pattern) -> torch.Tensor:
        return prune_columns([weight], upper, dead, [pattern])[0].weight

    apart = float((blocked(given) - loop(given)).abs().max() / weight.abs().max())
    works = [partial(solve, pattern) for pattern in (given, half) for solve in (loop, blocked)]
    times = least_seconds(works, runs)
    columns = "".join(
        f" {plain:9.3f} s {fast:8.3f} s {plain / fast:6.2f} x"
        for plain, fast in (times[:2], times[2:])
    )
    print(f"{rows:6d}{columns} {apart:10.1e}")
    return apart <= AGREEMENT


def main() -> int:
    """Compare at each number of rows; status 1 where the solvers disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=3072)
    parser.add_argument("--rows", default="64,256,768,3072")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    width = options.width
    inputs = torch.randn(2 * width, width, generator=torch.Generator().manual_seed(0))
    damped = damp(inputs.T @ inputs / width)
    upper = damped.upper()
    print(f"width {width}, {options.threads} threads, torch {torch.__version__}")
    print(f"  rows {'given mask: loop, blocked':^32} {'own mask: loop, blocked':^32} difference")
    agree = [compare(int(rows), upper, options.runs) for rows in options.rows.split(",")]
    return 0 if all(agree) else 1


if __name__ == "__main__":
    sys.exit(main())
