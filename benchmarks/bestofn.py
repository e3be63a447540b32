"""Which scorers help: agreement of the best of n pictures by each, read by an independent judge.

    python benchmarks/bestofn.py [--prompts 60] [--n 8] [--model tabletop/turbo]
                                 [--scorers tit,clip] [--plot FILE.png] [--store FOLDER]

Held-out captions of the tabletop suite, n pictures each. For every scorer and k up to n, the best
of k by that scorer is right where `tabletop/judge` finds every object, and every side that was
told: a detector that saw renders alone and is none of the scorers. Each prompt counts with the mean
over the n runs of k pictures that begin at each of its pictures in turn; intervals are 95 %,
bootstrapped over prompts. What choosing gains is the difference from one picture, of the same
prompts. `any` is the ceiling: at least one of k is right. `iqa` and `aesthetic` are controls: they
never see the prompt. A store given by name keeps what is done. The plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from score import SCORERS, Use, score_of

from imgtool.api import current_registry, run_rows
from imgtool_score.suites.bootstrap import Interval, mean_interval
from imgtool_tabletop.suite import captions

Shares = NDArray[np.float64]
Rows = list[dict[str, object]]
JUDGE: Use = ("judge.tabletop", {})


def drawn_and_scored(rows: Rows, n: int, model: str, scorer: Use, store: Path) -> Shares:
    """[prompts, n] scores of the same n pictures of each row; they are drawn once a store."""
    use, params = scorer
    drawing = ("generate", {"n": n, "model": model})
    run = run_rows(rows, then=[drawing, ("decode", {}), (use, params)], store=store)
    field = score_of(current_registry().spec("stage", use).produces)
    # Rows are named 12.3, the fourth picture of the thirteenth prompt.
    ids = (row.id.split(".") for row in run.rows)
    order = np.argsort([int(a) * n + int(b) for a, b in ids])
    return np.array(list(run.rows.values(field)), float)[order].reshape(-1, n)


def best_of(scores: Shares, right: Shares, k: int) -> Shares:
    """[prompts] share of runs of k neighbours whose best by `scores` is right."""
    n = scores.shape[1]
    windows = (np.arange(n)[:, None] + np.arange(k)) % n
    best = np.take_along_axis(
        np.broadcast_to(windows, (len(scores), n, k)),
        scores[:, windows].argmax(-1)[..., None],
        axis=-1,
    )[..., 0]
    return np.take_along_axis(right, best, axis=1).mean(1)


def gain(curve: list[Shares], k: int) -> Interval:
    """Points by which the best of k is more often right than one picture."""
    return mean_interval(100 * (curve[k - 1] - curve[0]))


def line(name: str, curve: list[Shares]) -> str:
    """Agreement for every k, and what choosing among half of all and among all gains."""
    shares = " ".join(f"{100 * values.mean():5.1f}" for values in curve)
    gains = (gain(curve, k) for k in (max(1, len(curve) // 2), len(curve)))
    said = "  ".join(f"{g.value:+5.1f} [{g.low:+.1f}, {g.high:+.1f}]" for g in gains)
    return f"{name:10} {shares} %  {said}"


def draw(curves: dict[str, list[Shares]], file: Path) -> None:
    """What choosing gains over k, a line with its intervals for each scorer."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.axhline(0, color="grey", linewidth=0.8)
    for at, (name, curve) in enumerate(curves.items()):
        counts = range(2, len(curve) + 1)
        gains = [gain(curve, k) for k in counts]
        # Side by side, or intervals would hide one another.
        places = [k + 0.08 * (at - (len(curves) - 1) / 2) for k in counts]
        reach = [[g.value - g.low for g in gains], [g.high - g.value for g in gains]]
        values = [g.value for g in gains]
        axes.errorbar(places, values, reach, label=name, marker=".", linewidth=1, elinewidth=0.8)
    axes.set(xlabel="pictures to choose from", ylabel="more right than one picture, points")
    figure.legend(loc="outside right upper")
    figure.savefig(file, dpi=100)


def main() -> None:
    """Print a line for each scorer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--model", default="tabletop/turbo")
    parser.add_argument("--scorers", default=",".join(SCORERS))
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--store", type=Path)
    given = parser.parse_args()
    items = captions()["items"]
    chosen = items[:: max(1, len(items) // given.prompts)][: given.prompts]
    rows = [{"prompt": item["prompt"], "questions": item["questions"]} for item in chosen]
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or Path(folder) / "s.zarr"
        scored = {
            name: drawn_and_scored(rows, given.n, given.model, use, store)
            for name, use in {"judge": JUDGE, **SCORERS}.items()
            if name in ("judge", *given.scorers.split(","))
        }
    right = (scored.pop("judge") == 1).astype(float)
    counts = range(1, given.n + 1)
    curves = {name: [best_of(each, right, k) for k in counts] for name, each in scored.items()}
    for name, curve in {**curves, "any": [best_of(right, right, k) for k in counts]}.items():
        sys.stdout.write(f"{line(name, curve)}\n")
    if given.plot:
        draw(curves, given.plot)


if __name__ == "__main__":
    main()
