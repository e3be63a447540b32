"""KID: the squared maximum mean discrepancy of two sets under a polynomial kernel.

Symbols: x [N, D], y [M, D] features; k(x, y) = (x·y / D + 1)³.
Bińkowski et al. (2018), arXiv 1801.01401; Gretton et al. (2012), equation 3, for the estimator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DEGREE = 3
SUBSETS, SUBSET_SIZE = 100, 1000


def polynomial(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[N, M] float64: the kernel of all pairs."""
    kernel: np.ndarray = (x @ y.T / x.shape[1] + 1) ** DEGREE
    return kernel


def mmd2(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased estimate, which may be below 0; no feature is compared with itself.

    Raises
    ------
    ValueError : a set has fewer than two features.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError("the estimate needs two features of each set")
    within_x, within_y = polynomial(x, x), polynomial(y, y)
    same = (within_x.sum() - within_x.trace()) / (n * (n - 1))
    same += (within_y.sum() - within_y.trace()) / (m * (m - 1))
    return float(same - 2 * polynomial(x, y).mean())


@dataclass(frozen=True)
class Kid:
    """KID over random subsets.

    Attributes
    ----------
    value : mean of the estimates.
    deviation : their sample standard deviation; None where one subset is all there is.
    subsets, size : how many subsets, and how many features of each set are in one.
    """

    value: float
    deviation: float | None
    subsets: int
    size: int


def kid(
    x: np.ndarray, y: np.ndarray, subsets: int = SUBSETS, size: int = SUBSET_SIZE, seed: int = 0
) -> Kid:
    """Mean and deviation of `mmd2` over `subsets` pairs of subsets of `size`, drawn by `seed`.

    A subset is drawn without repetition. Sets smaller than `size` make it smaller; of two sets of
    that size there is one subset.

    Raises
    ------
    ValueError : a set has fewer than two features.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    size = min(size, len(x), len(y))
    if size == len(x) == len(y):
        return Kid(mmd2(x, y), None, 1, size)
    rng = np.random.default_rng(seed)
    found = [
        mmd2(x[rng.choice(len(x), size, False)], y[rng.choice(len(y), size, False)])
        for _ in range(subsets)
    ]
    deviation = float(np.std(found, ddof=1)) if subsets > 1 else None
    return Kid(float(np.mean(found)), deviation, subsets, size)
