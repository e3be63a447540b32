"""Mean and covariance of features that come in batches, in float64 and in memory of one matrix.

Symbols: n count; m mean [D]; M scatter [D, D], the sum of (x - m)(x - m)ᵀ.
Chan, Golub & LeVeque (1979), "Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances", carried over from variances to covariances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Moments:
    """The first two moments of `count` features.

    Attributes
    ----------
    mean : [D] float64.
    scatter : [D, D] float64, symmetric; what is lost is rounding alone, whatever the batches.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def empty(cls, width: int) -> Moments:
        """Of no feature of `width` numbers."""
        return cls(0, np.zeros(width), np.zeros((width, width)))

    @classmethod
    def of(cls, features: np.ndarray) -> Moments:
        """Of [N, D] features, N > 0."""
        rows = np.asarray(features, dtype=np.float64)
        mean = rows.mean(0)
        around = rows - mean
        return cls(len(rows), mean, around.T @ around)

    @property
    def covariance(self) -> np.ndarray:
        """[D, D] float64, unbiased: the scatter by n - 1.

        Raises
        ------
        ValueError : of fewer than two features.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs two features, and there are {self.count}")
        return self.scatter / (self.count - 1)

    def update(self, features: np.ndarray) -> None:
        """Add [N, D] features."""
        if len(features):
            self.merge(Moments.of(features))

    def merge(self, other: Moments) -> None:
        """Add what `other` has seen."""
        total = self.count + other.count
        if not total:
            return
        apart = other.mean - self.mean
        share = other.count / total
        self.mean = self.mean + apart * share
        weighted = apart * np.sqrt(self.count * share)
        # In place, since a scatter of 2,048 numbers takes 32 MiB.
        self.scatter += other.scatter
        self.scatter += np.outer(weighted, weighted)
        self.count = total
