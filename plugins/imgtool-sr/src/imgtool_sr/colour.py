"""Keeping the colours of the picture that was enlarged.

Symbols: y the result, x the source at the result's size, both [3, H, W] in 0..1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

LEVELS: Final = 5
RADIUS: Final = 2**LEVELS - 1
"""Pixels around a pixel that its lowest band depends on."""
BT601 = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def low_band(x: Tensor) -> Tensor:
    """What five levels of the à-trous transform leave: binomial blurs, holes doubling each time.

    Edges are repeated. The result less this is the sum of all high bands.
    """
    line = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device).expand(3, 1, 1, 3)
    band = x[None]
    for level in range(LEVELS):
        hole = 2**level
        wide = F.pad(band, (hole,) * 4, mode="replicate")
        band = F.conv2d(wide, line, groups=3, dilation=(1, hole))
        band = F.conv2d(band, line.mT, groups=3, dilation=(hole, 1))
    return band[0]


def wavelet(y: Tensor, x: Tensor) -> Tensor:
    """The detail of y on the lowest band of x."""
    return y - low_band(y) + low_band(x)


def luma_of(y: Tensor, x: Tensor) -> Tensor:
    """The luma of y with the chroma of x, BT.601."""
    matrix = torch.tensor(BT601, dtype=y.dtype, device=y.device)
    both = torch.cat([(matrix[:1] @ y.flatten(1)), (matrix[1:] @ x.flatten(1))])
    return torch.linalg.solve(matrix, both).view_as(y)


def adain(y: Tensor, moments_y: Moments, moments_x: Moments) -> Tensor:
    """y with the mean and deviation of x, channel by channel: Huang and Belongie (2017), eq. 8.

    The moments are those of the whole pictures, of which y may be a part.
    """
    (mean_y, std_y), (mean_x, std_x) = moments_y, moments_x
    return (y - mean_y) / std_y * std_x + mean_x


Moments = tuple["Tensor", "Tensor"]
"""Mean and deviation of each channel, [3, 1, 1]."""


def moments_of(count: int, total: Tensor, squares: Tensor) -> Moments:
    """Mean and unbiased deviation from sums over `count` pixels, [3] float64."""
    mean = total / count
    variance = (squares - count * mean.square()) / max(1, count - 1)
    std = (variance.clamp_min(0) + 1e-5).sqrt()
    return mean.float()[:, None, None], std.float()[:, None, None]
