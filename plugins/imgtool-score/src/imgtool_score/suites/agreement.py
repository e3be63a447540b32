"""How far one ranking agrees with another: pairwise accuracy, SRCC, KRCC, nDCG.

h: human grades, m: metric, both [n], higher better. NaN where a measure has no meaning.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

MetricTies = Literal["half", "wrong", "drop"]


def mid_ranks(x: np.ndarray) -> np.ndarray:
    """[n] ranks from 1; equal values share their mean rank."""
    _, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place.reshape(-1)])


def spearman(h: np.ndarray, m: np.ndarray) -> float:
    """Pearson correlation of mid-ranks; NaN where one side is constant."""
    a, b = mid_ranks(h), mid_ranks(m)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale > 0 else float("nan")


def _pair_signs(x: np.ndarray) -> np.ndarray:
    """[n (n - 1) / 2] signs of differences."""
    upper = np.triu_indices(len(x), 1)
    return np.asarray(np.sign(x[upper[0]] - x[upper[1]]))


def kendall(h: np.ndarray, m: np.ndarray) -> float:
    """tau-b, Kendall (1945); NaN where one side is constant."""
    a, b = _pair_signs(h), _pair_signs(m)
    scale = np.sqrt(float((a != 0).sum()) * float((b != 0).sum()))
    return float((a * b).sum() / scale) if scale > 0 else float("nan")


def ndcg(h: np.ndarray, m: np.ndarray, k: int = 0, exponential: bool = False) -> float:
    """DCG / IDCG of items ordered by `m`, Järvelin & Kekäläinen (2002); ties keep their order.

    Parameters
    ----------
    h : relevance, >= 0.
    k : how many of the first items count; 0: all.
    exponential : gain 2^h - 1, else h.
    """
    gain = np.exp2(h) - 1 if exponential else np.asarray(h, float)
    most = k or len(h)
    discount = 1 / np.log2(np.arange(2, len(h) + 2))[:most]
    order = np.argsort(-np.asarray(m, float), kind="stable")[:most]
    ideal = float((np.sort(gain)[::-1][:most] * discount).sum())
    return float((gain[order] * discount).sum()) / ideal if ideal > 0 else float("nan")


def pair_counts(h: np.ndarray, m: np.ndarray) -> tuple[int, int, int]:
    """Pairs that `m` orders as `h` does, that `m` ties, and all, of those that `h` tells apart."""
    a, b = _pair_signs(h), _pair_signs(m)
    told = a != 0
    return int((a * b > 0).sum()), int((told & (b == 0)).sum()), int(told.sum())


def pairwise_accuracy(right: float, tied: float, told: float, ties: MetricTies) -> float:
    """Share of pairs ordered alike; a tie counts a half, or as wrong, or not at all (`drop`)."""
    if ties == "half":
        right += tied / 2
    elif ties == "drop":
        told -= tied
    return float(right / told) if told else float("nan")
