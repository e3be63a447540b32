"""Spending one budget of zeros over layers: uniform, or where the marginal error is least."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True)
class ErrorCurve:
    """How a layer's error grows with its sparsity.

    Attributes
    ----------
    size : weights of the layer.
    sparsities : rising, from 0.
    errors : at those sparsities; comparable between layers, such as relative output errors.

    Raises
    ------
    ValueError : sparsities that do not rise from 0, or not one error for each.
    """

    size: int
    sparsities: tuple[float, ...]
    errors: tuple[float, ...]

    def __post_init__(self) -> None:
        rises = all(a < b for a, b in pairwise(self.sparsities))
        if len(self.sparsities) != len(self.errors) or self.sparsities[0] or not rises:
            raise ValueError("an error curve has an error for each of some sparsities from 0 up")

    def hull(self) -> list[tuple[float, float]]:
        """Corners (sparsity, error) of the lower convex hull: between them, slopes only rise."""
        corners: list[tuple[float, float]] = []
        for point in zip(self.sparsities, self.errors, strict=True):
            while len(corners) > 1 and _slope(*corners[-2:]) >= _slope(corners[-1], point):
                corners.pop()
            corners.append(point)
        return corners


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def saliency_curve(weight: Tensor, upper: Tensor, energy: float, points: int = 64) -> ErrorCurve:
    """The curve that OBS expects of a layer: its saliencies w^2 / (2 U_jj^2), the least first.

    Interactions are left out, so it is a shape to compare layers by, not their error.

    Parameters
    ----------
    weight : [R, d].
    upper : U [d, d], the factor of the damped inverse Hessian.
    energy : what errors are relative to: 1/2 tr(W H W^T); 0 where the layer puts nothing out.
    """
    saliencies = (weight / upper.diagonal()).square().flatten().sort().values.double() / 2
    total = saliencies.cumsum(0) / energy if energy else torch.zeros_like(saliencies)
    ends = torch.linspace(0, len(total), points + 1, dtype=torch.float64).round().long().unique()
    errors = [0.0, *total[ends[1:] - 1].tolist()]
    return ErrorCurve(len(total), tuple((ends / len(total)).tolist()), tuple(errors))


def allocate(
    curves: Sequence[ErrorCurve], sparsity: float, low: float = 0.0, high: float = 1.0
) -> list[float]:
    """Sparsities of layers that prune `sparsity` of all weights at the least summed error.

    Exact for the convex hulls of the curves: pieces are taken by rising marginal error.

    Parameters
    ----------
    low, high : bounds of each layer; `high` is at most the last sparsity of each curve.

    Raises
    ------
    ValueError : the bounds do not leave room for `sparsity`.
    """
    if not low <= sparsity <= high:
        raise ValueError(f"no layer may be {sparsity} sparse between {low} and {high}")
    result = [low] * len(curves)
    left = (sparsity - low) * sum(curve.size for curve in curves)
    pieces = [
        (_slope(a, b) / curve.size, index, max(a[0], low), min(b[0], high))
        for index, curve in enumerate(curves)
        for a, b in pairwise(curve.hull())
    ]
    for _, index, begin, end in sorted(pieces):
        if end > begin and left > 0:
            taken = min((end - begin) * curves[index].size, left)
            result[index] += taken / curves[index].size
            left -= taken
    if left > 1e-9 * sum(curve.size for curve in curves):
        raise ValueError(f"the curves of errors end before {sparsity}")
    return result
