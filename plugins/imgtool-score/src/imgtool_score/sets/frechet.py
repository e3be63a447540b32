"""The Fréchet distance of two Gaussians, and what it tends to when pictures never end.

Symbols: m mean [D]; S covariance [D, D]; N pictures.
Dowson & Landau (1982); as FID, Heusel et al. (2017), arXiv 1706.08500, equation 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution: `mean` [D], `covariance` [D, D], float64."""

    mean: np.ndarray
    covariance: np.ndarray

    @cached_property
    def root(self) -> np.ndarray:
        """[D, R] with S = root rootᵀ, R the rank: directions that rounding fills are left out."""
        values, vectors = np.linalg.eigh(self.covariance)
        kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
        root: np.ndarray = vectors[:, kept] * np.sqrt(values[kept])
        return root


def frechet_distance(one: Gaussian, two: Gaussian) -> float:
    """|m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½), >= 0; float64.

    The trace of the root is the nuclear norm of S1^½ S2^½. Singular values lose no digits where
    covariances are singular, as eigenvalues of S1 S2 do: they are never squared.
    """
    apart = one.mean - two.mean
    common = np.linalg.svd(one.root.T @ two.root, compute_uv=False).sum()
    value = apart @ apart + np.trace(one.covariance) + np.trace(two.covariance) - 2 * common
    return max(float(value), 0.0)


@dataclass(frozen=True)
class Extrapolated:
    """FID at infinitely many pictures.

    Attributes
    ----------
    value : where the line cuts 1/N = 0; below 0 only by the noise of the fit.
    slope : how much 1/N adds.
    r2 : share of the variance that the line explains; 1 for a perfect line.
    sizes, values : what it was fitted to.
    """

    value: float
    slope: float
    r2: float
    sizes: tuple[int, ...]
    values: tuple[float, ...]


def extrapolate(sizes: Sequence[int], values: Sequence[float]) -> Extrapolated:
    """The least-squares line through FID over 1/N; Chong & Forsyth (2020), arXiv 1911.07023.

    Raises
    ------
    ValueError : of fewer than two sizes.
    """
    if len(set(sizes)) < 2:
        raise ValueError("a line needs two sizes")
    x, y = 1 / np.asarray(sizes, np.float64), np.asarray(values, np.float64)
    slope, value = np.polyfit(x, y, 1)
    spread = ((y - y.mean()) ** 2).sum()
    rest = ((y - value - slope * x) ** 2).sum()
    r2 = float(1 - rest / spread) if spread else 1.0
    return Extrapolated(float(value), float(slope), r2, tuple(sizes), tuple(map(float, y)))
