"""Which scorers help: agreement of the best of n pictures by each, read by an independent judge.

    python benchmarks/bestofn.py [--prompts 60] [--n 8] [--model tabletop/turbo] [--plot FILE.png]

Held-out captions of the tabletop suite, n pictures each. For every scorer and k up to n, the best
of k by that scorer is right where `tabletop/judge` finds every object, and every side that was
told: a detector that saw renders alone and is none of the scorers. Each prompt counts with the mean
over the n runs of k pictures that begin at each of its pictures in turn; intervals are 95 %,
bootstrapped over prompts. `any` is the ceiling: at least one of k is right. The plot needs
matplotlib.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import imgtool
from imgtool_tabletop.suite import captions

SCORERS = ("tit", "clip", "vqa", "iqa")
PIPELINE = """
[each]
[[each.stage]]
use = "generate"
[[each.stage]]
use = "decode"
[[each.stage]]
use = "score.all"
metrics = {metrics}
[[each.stage]]
use = "judge.tabletop"
"""
Shares = NDArray[np.float64]


def measured(prompts: int, n: int, model: str) -> tuple[dict[str, Shares], Shares]:
    """Scores by scorer [prompts, n], and whether each picture is right [prompts, n]."""
    items = captions()["items"]
    rows = [
        {"prompt": item["prompt"], "questions": item["questions"]}
        for item in items[:: max(1, len(items) // prompts)][:prompts]
    ]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "pipelines.toml"
        file.write_text(PIPELINE.format(metrics=list(SCORERS)))
        run = imgtool.run(
            f"{file}:each",
            rows=rows,
            overrides={"generate.n": n, "generate.model": model},
            store=Path(name) / "s.zarr",
        )
        last = run.rows
        # Rows are named 12.3, the fourth picture of the thirteenth prompt.
        order = np.argsort([float(a) * n + float(b) for a, b in (r.id.split(".") for r in last)])
        scores = {s: _table(last.values(f"score.{s}"), order, n) for s in SCORERS}
        return scores, _table(last.values("score.judge"), order, n) == 1


def _table(values: object, order: NDArray[np.int64], n: int) -> Shares:
    return np.array(list(values))[order].reshape(-1, n)  # type: ignore[call-overload]


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


def interval(values: Shares, rounds: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    drawn = np.random.default_rng(0).choice(values, (rounds, len(values))).mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def draw(curves: dict[str, list[Shares]], file: Path) -> None:
    """Agreement over k, a line with its interval for each scorer."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, curve in curves.items():
        places = range(1, len(curve) + 1)
        low, high = np.array([interval(values) for values in curve]).T
        line = axes.plot(places, [v.mean() for v in curve], label=name, marker=".")[0]
        axes.fill_between(places, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    axes.set(xlabel="pictures to choose from", ylabel="right by the judge", ylim=(None, 1))
    axes.legend()
    figure.savefig(file, dpi=120)


def main() -> None:
    """Print a line for each scorer: agreement for every k, with intervals at the ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--model", default="tabletop/turbo")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    scores, right = measured(given.prompts, given.n, given.model)
    counts = range(1, given.n + 1)
    curves = {name: [best_of(each, right, k) for k in counts] for name, each in scores.items()}
    curves["any"] = [best_of(right.astype(float), right, k) for k in counts]
    for name, curve in curves.items():
        line = " ".join(f"{100 * values.mean():5.1f}" for values in curve)
        low, high = interval(curve[-1])
        sys.stdout.write(f"{name:5} {line} %   [{100 * low:.1f}, {100 * high:.1f}] at {given.n}\n")
    if given.plot:
        draw(curves, given.plot)


if __name__ == "__main__":
    main()
