"""Does scoring hide reading? Pictures a second of each scorer, alone and over a folder of files.

    python benchmarks/scoring.py [--pictures 64] [--edge 512] [--rounds 3] [--scorers clip,vqa]

`read` is `image.read` of PNG files into a store, `score` the scorer over the same pictures in
memory, and `both` a run of the two, each batch stored in between. Models are loaded before. Rates
are by the process's own CPU time, which other work does not change, and by the clock. Hidden is the
share of the shorter of the two that the run of both does not take: at 100 % it takes the clock's
time of the longer one, at 0 % of both in turn. Rounds alternate; medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from score import SCORERS, Use

from imgtool.api import Batch, Runtime, run_rows
from imgtool_tabletop.suite import captions
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world.render import render
from imgtool_tabletop.world.sample import BROAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BATCH = 16
Rows = list[dict[str, object]]


def made(folder: Path, count: int, edge: int) -> Rows:
    """Rows that name pictures of the tabletop, enlarged to `edge` pixels."""
    scenes = [scene_at(7, at, BROAD, held_out=True) for at in range(count)]
    pictures = render(scenes, 64).clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    prompts = [item["prompt"] for item in captions()["items"]]
    rows: Rows = []
    for at, picture in enumerate(pictures):
        file = folder / f"{at:04}.png"
        Image.fromarray(picture).resize((edge, edge), Image.Resampling.BICUBIC).save(file)
        rows.append({"id": f"{at:04}", "path": str(file), "prompt": prompts[at % len(prompts)]})
    return rows


def spent(work: Callable[..., None], *given: object) -> tuple[float, float]:
    """CPU seconds of this process, and seconds by the clock, of a call."""
    cpu, clock = time.process_time(), time.perf_counter()
    work(*given)
    return time.process_time() - cpu, time.perf_counter() - clock


def line(name: str, count: int, rounds: Sequence[Sequence[tuple[float, float]]]) -> str:
    """Rates of `read`, `score` and `both` by CPU and clock, of the median round each."""
    cpu, clock = (
        [statistics.median(each[part][kind] for each in rounds) for part in range(3)]
        for kind in range(2)
    )
    rates = "   ".join(
        f"{word} {count / a:6.1f} {count / b:6.1f}"
        for word, a, b in zip(("read", "score", "both"), cpu, clock, strict=True)
    )
    hidden = 100 * (clock[0] + clock[1] - clock[2]) / min(clock[:2])
    return f"{name:10} {rates}   hidden {hidden:4.0f} %"


def run(rows: Rows, *uses: Use) -> None:
    """Read the rows' pictures, and go on with the stages, in a store of their own."""
    with tempfile.TemporaryDirectory() as folder:
        run_rows(rows, then=[("image.read", {}), *uses], store=Path(folder) / "s.zarr")


@contextmanager
def held(use: Use) -> Iterator[Callable[[Rows], None]]:
    """A function that scores rows whose pictures are in memory. Its models stay loaded."""
    name, params = use
    stage = Runtime().stage(name, **params)

    def score(rows: Rows) -> None:
        for at in range(0, len(rows), BATCH):
            part = rows[at : at + BATCH]
            columns = {name: [row[name] for row in part] for name in ("prompt", "image")}
            ids = tuple(str(row["id"]) for row in part)
            with tempfile.TemporaryDirectory() as journal:
                stage.runtime.journal = Path(journal)
                stage.process(Batch(ids, {**columns, "source_prompt": columns["prompt"]}))

    try:
        yield score
    finally:
        stage.close()


def main() -> None:
    """Print a line for each scorer: pictures a CPU second, and a second by the clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--edge", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scorers", default=",".join(SCORERS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = made(Path(folder), given.pictures, given.edge)
        images = [np.asarray(Image.open(str(row["path"]))) for row in rows]
        there: Rows = [{**row, "image": image} for row, image in zip(rows, images, strict=True)]
        run(rows[:1])
        for name in given.scorers.split(","):
            use = SCORERS[name]
            with held(use) as score:
                score(there[:1])
                rounds = [
                    (spent(run, rows), spent(score, there), spent(run, rows, use))
                    for _ in range(given.rounds)
                ]
            sys.stdout.write(f"{line(name, given.pictures, rounds)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
