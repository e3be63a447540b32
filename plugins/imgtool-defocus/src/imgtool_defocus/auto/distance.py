"""From where a network looks to a distance in focus: averages of depth, weighted by saliency.

m  saliency logits;  w = sigmoid(m)  weights;  d  depth, metres;  f_d  the distance in focus
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from imgtool_defocus.auto.config import Average

LEAST = 1e-6


def focus_distance(m: Tensor, depth: Tensor, average: Average) -> Tensor:
    """f_d of each picture, metres: the saliency-weighted average of its depth.

    Shrivastava et al. (2025), arXiv 2510.06215, average depth. A mean between two things is where
    nothing is, in inverse depth nearer to the near one; the median is always the depth of a pixel,
    but has no gradient in m.

    Parameters
    ----------
    m, depth : [B, H, W]; pixels whose depth is not finite and positive do not count.

    Returns
    -------
    [B], metres.
    """
    is_known = depth.isfinite() & (depth > 0)
    weights = torch.where(is_known, m.sigmoid(), 0.0).flatten(1)
    return AVERAGES[average](weights, torch.where(is_known, depth, 1.0).flatten(1))


def _mean(weights: Tensor, depth: Tensor) -> Tensor:
    return (weights * depth).sum(1) / weights.sum(1).clamp_min(LEAST)


def _mean_of_disparity(weights: Tensor, depth: Tensor) -> Tensor:
    return 1.0 / _mean(weights, 1.0 / depth)


def _median(weights: Tensor, depth: Tensor) -> Tensor:
    ordered, order = depth.sort(1)
    below = weights.double().gather(1, order).cumsum(1)
    at = torch.searchsorted(below, below[:, -1:] / 2.0).clamp_max(depth.shape[1] - 1)
    return ordered.gather(1, at)[:, 0]


AVERAGES: Final[Mapping[Average, Callable[[Tensor, Tensor], Tensor]]] = {
    "depth": _mean,
    "disparity": _mean_of_disparity,
    "median": _median,
}
