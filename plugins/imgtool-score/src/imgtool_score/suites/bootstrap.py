"""Intervals of figures by the bootstrap over prompts, each with the seeds nested in it.

Efron & Tibshirani (1993), chapters 12 and 13; resampling whole clusters, and none within them, as
Davison & Hinkley (1997), section 3.8, advise. Prompts are drawn within their category, since a
suite fixes how many there are of each.

Symbols: I prompts, G categories, B draws; a prompt has n_i pictures of q_i values each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DRAWS = 2000
# Fewer prompts than this say nothing of how far others would lie from them.
LEAST = 5
LEVEL = 0.95
AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A value and the bounds of its percentile interval; NaN where it cannot be had."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float | None]:
        """The same as JSON values; what cannot be had is null."""
        return {name: x if math.isfinite(x) else None for name, x in vars(self).items()}


@dataclass(frozen=True)
class Clusters:
    """Values of pictures, by prompt.

    Attributes
    ----------
    values : one array [n_i, q_i] a prompt, or [n_i] where pictures have one value.
    groups : [I] int, the category of each prompt.
    macro : whether the figure is the mean over categories, else over all values.
    """

    values: tuple[np.ndarray, ...]
    groups: np.ndarray
    macro: bool = False

    @property
    def sums(self) -> np.ndarray:
        """[I] float64."""
        return np.array([v.sum() for v in self.values])

    @property
    def counts(self) -> np.ndarray:
        """[I] float64."""
        return np.array([float(v.size) for v in self.values])

    @property
    def figure(self) -> float:
        """The figure of these values themselves."""
        return float(_figure(self._by_group(self.sums), self._by_group(self.counts), self.macro))

    def _by_group(self, per_prompt: np.ndarray) -> np.ndarray:
        return np.array([per_prompt[self.groups == g].sum() for g in np.unique(self.groups)])


def _figure(sums: np.ndarray, counts: np.ndarray, macro: bool) -> np.ndarray:
    """[..., G] sums and counts to [...]: the mean over categories, or over all values."""
    if macro:
        return np.asarray((sums / counts).mean(-1))
    return np.asarray(sums.sum(-1) / counts.sum(-1))


def over_prompts(clusters: Clusters, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """[B] figures of as many draws of prompts, each with all its seeds.

    Equal seeds draw the same prompts of suites of the same shape: that is what pairs two results.
    """
    rng = np.random.default_rng(seed)
    sums, counts = clusters.sums, clusters.counts
    parts = []
    for group in np.unique(clusters.groups):
        members = np.flatnonzero(clusters.groups == group)
        drawn = [
            (sums[chosen].sum(-1), counts[chosen].sum(-1))
            for chosen in _chosen(rng, members, draws)
        ]
        parts.append([np.concatenate(column) for column in zip(*drawn, strict=True)])
    totals = [np.stack([part[at] for part in parts], -1) for at in (0, 1)]
    return _figure(totals[0], totals[1], clusters.macro)


def over_seeds(clusters: Clusters, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """[B] figures of as many draws of seeds within each prompt, the prompts as they are.

    A picture is drawn with all its values.
    """
    rng = np.random.default_rng(seed)
    pictures = [v.reshape(len(v), -1).sum(1) for v in clusters.values]
    sums = np.stack([v[rng.integers(0, len(v), (draws, len(v)))].sum(-1) for v in pictures], -1)
    groups = np.unique(clusters.groups)
    by_group = np.stack([sums[:, clusters.groups == g].sum(-1) for g in groups], -1)
    return _figure(by_group, clusters._by_group(clusters.counts), clusters.macro)


def _chosen(rng: np.random.Generator, members: np.ndarray, draws: int) -> Iterator[np.ndarray]:
    """[some, len(members)] members drawn with replacement, `draws` rows in all."""
    size = max(1, AT_ONCE // len(members))
    for start in range(0, draws, size):
        shape = (min(size, draws - start), len(members))
        yield members[rng.integers(0, len(members), shape)]


def percentile(
    value: float, figures: np.ndarray, prompts: int = LEAST, level: float = LEVEL
) -> Interval:
    """The percentile interval of bootstrap figures [B]; none of fewer than `LEAST` prompts."""
    if prompts < LEAST:
        return Interval(value, float("nan"), float("nan"))
    tail = (1 - level) / 2
    low, high = np.quantile(figures, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of one value a prompt, with its percentile interval over prompts."""
    clusters = Clusters(tuple(np.array([v]) for v in values), np.zeros(len(values), int))
    return percentile(clusters.figure, over_prompts(clusters), len(values))


def spread(value: float, figures: np.ndarray) -> Interval:
    """`value` with its bootstrap standard error, times 1.96, to either side.

    For figures that resampling biases, such as a Fréchet distance, whose draws all lie above it.
    """
    reach = 1.959964 * float(np.std(figures, ddof=1))
    return Interval(value, value - reach, value + reach)


def of_prompts(
    figure: Callable[[Sequence[int]], float], count: int, draws: int = DRAWS, seed: int = 0
) -> np.ndarray:
    """[B] values of any figure of chosen prompts, for `draws` choices among `count`."""
    rng = np.random.default_rng(seed)
    return np.array([figure(rng.integers(0, count, count)) for _ in range(draws)])  # type: ignore[arg-type]
