"""What `prune.py` measured: kept in a file, told as a table, drawn as a plot, without a model."""

from __future__ import annotations

import json
import sys
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    # Names of criteria by pattern, in the order of the table.
    Asked = Mapping[str, Sequence[str]]

STRUCTURED = "structured:"
REFERENCE = "obs"
SHARE, POINTS = "{:.0%} [{:.0%}, {:.0%}]", "{:+.0%} [{:+.0%}, {:+.0%}]"
ERROR, CHANGE = "{:.3f} [{:.3f}, {:.3f}]", "{:+.3f} [{:+.3f}, {:+.3f}]"
TITLES = {"errors": "paired error", "right": "prompts right"}
# Distinguishable with any kind of colour vision: Okabe and Ito's palette.
COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#CC79A7", "#D55E00", "#000000", "#999999", "#009E73")


class Figures:
    """Figures by `PATTERN CRITERION` and seed, kept in a file if there is one."""

    def __init__(self, settings: Mapping[str, Any], seeds: int, file: Path | None) -> None:
        self.file, self.settings = file, json.loads(json.dumps(settings))
        self.seeds = [str(seed) for seed in range(seeds)]
        self.known: dict[str, dict[str, Any]] = {}
        if file and file.is_file():
            stored = json.loads(file.read_text())
            if stored["settings"] != self.settings:
                sys.exit(f"{file} holds figures of other settings: {stored['settings']}")
            self.known = stored["figures"]

    def add(self, name: str, seed: int, **found: Any) -> None:
        """Note figures of one seed."""
        self.known.setdefault(name, {})[str(seed)] = found
        if self.file:
            stored = {"settings": self.settings, "figures": self.known}
            self.file.write_text(json.dumps(stored, indent=1) + "\n")

    def has(self, name: str, seed: int) -> bool:
        """Whether they are known."""
        return str(seed) in self.known.get(name, {})

    def values(self, name: str, what: str) -> Tensor:
        """Figures of all prompts and seeds [N], in order."""
        known = self.known[name]
        return torch.tensor([v for seed in self.seeds for v in known[seed][what]]).double()

    def mean(self, name: str, what: str) -> float:
        """Of one number a seed."""
        return mean(self.known[name][seed].get(what, 0.0) for seed in self.seeds)


def interval(values: Tensor, draws: int = 2000) -> tuple[float, float, float]:
    """Mean and its 95 % bootstrap interval."""
    count = len(values)
    picked = torch.randint(count, (draws, count), generator=torch.Generator().manual_seed(0))
    low, high = values[picked].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return float(values.mean()), float(low), float(high)


def table(found: Figures, asked: Asked) -> Iterator[str]:
    """Lines: the dense model, and each criterion by itself and against `obs`."""
    width = max(len(f"{pattern} {method}") for pattern in asked for method in asked[pattern])
    right = SHARE.format(*interval(found.values("dense", "right")))
    yield _line(width, "", "paired error", "above obs", "right", "right - obs", "layer error")
    yield _line(width, "dense", "", "", right, "", "")
    for pattern, methods in asked.items():
        for method in methods:
            name, compared = f"{pattern} {method}", ["", ""]
            if method != REFERENCE and REFERENCE in methods:
                compared = [
                    form.format(*interval(_above_reference(found, pattern, method, what)))
                    for what, form in (("errors", CHANGE), ("right", POINTS))
                ]
            error = ERROR.format(*interval(found.values(name, "errors")))
            right = SHARE.format(*interval(found.values(name, "right")))
            layers = f"{found.mean(name, 'layer_error'):.4f}"
            if seconds := found.mean(name, "seconds"):
                layers += f"  {seconds:.0f} s"
            yield _line(width, name, error, compared[0], right, compared[1], layers)


def _above_reference(found: Figures, pattern: str, method: str, what: str) -> Tensor:
    """[N] differences, prompt by prompt."""
    first = found.values(f"{pattern} {REFERENCE}", what)
    return found.values(f"{pattern} {method}", what) - first


def _line(width: int, *cells: str) -> str:
    widths = (width, 20, 23, 14, 18, 0)
    return " ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def plot(found: Figures, asked: Asked, file: Path) -> None:
    """Paired error and prompts right by pattern, with intervals; needs matplotlib."""
    import matplotlib.pyplot as plt

    kinds = [[p for p in asked if p.startswith(STRUCTURED) == kind] for kind in (False, True)]
    panels = [(patterns, what) for patterns in kinds if patterns for what in TITLES]
    size = (3.6 * len(panels), 3.2)
    figure, every = plt.subplots(1, len(panels), figsize=size, squeeze=False, layout="constrained")
    for axes, (patterns, what) in zip(every[0], panels, strict=True):
        _panel(axes, found, {pattern: asked[pattern] for pattern in patterns}, what)
    figure.savefig(file, dpi=84)


def _panel(axes: Any, found: Figures, asked: Asked, what: str) -> None:
    methods = list(dict.fromkeys(method for those in asked.values() for method in those))
    for index, method in enumerate(methods):
        places = [at for at, those in enumerate(asked.values()) if method in those]
        patterns = [pattern for pattern, those in asked.items() if method in those]
        every = [interval(found.values(f"{pattern} {method}", what)) for pattern in patterns]
        means = [mean for mean, _, _ in every]
        bars = [[m - low for m, low, _ in every], [high - m for m, _, high in every]]
        shifted = [at + 0.1 * (index - (len(methods) - 1) / 2) for at in places]
        axes.errorbar(
            shifted, means, bars, label=method, color=COLOURS[index % len(COLOURS)], fmt="o", ms=4,
            lw=1,
        )  # fmt: skip
    if what == "right":
        dense = float(found.values("dense", "right").mean())
        axes.axhline(dense, color="black", lw=0.8, ls=":")
    axes.set_xticks(range(len(asked)), [pattern.removeprefix(STRUCTURED) for pattern in asked])
    heads = all(pattern.startswith(STRUCTURED) for pattern in asked)
    label = "share of heads and neurons" if heads else "share of weights"
    axes.set(xlabel=label, title=TITLES[what], ylim=(0, None))
    if what == "errors":
        axes.legend(fontsize=7, frameon=False, loc="upper left")
