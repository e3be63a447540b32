"""`tabletop/turbo` against `tabletop`: time to sample the same prompts.

    python benchmarks/turbo.py [--prompts 64] [--batch 8] [--rounds 3]

Sampling alone, in one process: models are loaded before, pictures are not decoded. Rounds
alternate; the median of each is compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

from imgtool.api import Batch, Runtime

CASES = (("tabletop", 25), ("tabletop/turbo", 4), ("tabletop/turbo", 2), ("tabletop/turbo", 1))


def sampled(stage: Any, prompts: list[str], batch: int) -> float:
    """Seconds to sample latents for all prompts."""
    start = time.perf_counter()
    for at in range(0, len(prompts), batch):
        part = prompts[at : at + batch]
        seeds = list(range(at, at + len(part)))
        stage.process(Batch(tuple(map(str, seeds)), {"prompt": part, "seed": seeds}))
    return time.perf_counter() - start


def main() -> None:
    """Print a line for each case: seconds, and how often faster than the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    prompts = [f"a red cube to the left of a blue sphere {i}" for i in range(given.prompts)]
    runtime = Runtime()
    stages = [runtime.stage("generate", model=name, steps=steps) for name, steps in CASES]
    for stage in stages:
        sampled(stage, prompts[: given.batch], given.batch)  # the first batch is slower
    seconds: list[list[float]] = [[] for _ in CASES]
    for _ in range(given.rounds):
        for stage, taken in zip(stages, seconds, strict=True):
            taken.append(sampled(stage, prompts, given.batch))
    medians = [statistics.median(taken) for taken in seconds]
    for (name, steps), median in zip(CASES, medians, strict=True):
        sys.stdout.write(
            f"{name:15} {steps:2} steps {median:7.2f} s {medians[0] / median:6.1f} times as fast\n"
        )


if __name__ == "__main__":
    main()
