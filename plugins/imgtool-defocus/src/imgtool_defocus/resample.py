"""A depth map on another grid, without depths where nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from imgtool_defocus.depth import METRIC, robust_range

if TYPE_CHECKING:
    from torch import Tensor

EDGE = 0.05
"""Neighbours that differ by more, as a share of the map's range, are two things."""


def resampled(
    values: Tensor, kind: str, height: int, width: int, margin: tuple[float, float] = (0.0, 0.0)
) -> Tensor:
    """`values`, [h, w], on a grid of another size: bilinear on one thing, the nearest at edges.

    Metres are compared in inverse depth, as blur is.

    Parameters
    ----------
    margin : shares of the height and of the width, at either end, that are left out.
    """
    top, bottom, down = _places(values.shape[0], height, margin[0], values.device)
    left, right, across = _places(values.shape[1], width, margin[1], values.device)

    def corners(of: Tensor) -> tuple[Tensor, ...]:
        upper, lower = of[top], of[bottom]
        return upper[:, left], upper[:, right], lower[:, left], lower[:, right]

    a, b, c, d = corners(values)
    down = down[:, None]
    smooth = torch.lerp(torch.lerp(a, b, across), torch.lerp(c, d, across), down)
    on_left = across < 0.5
    near = torch.where(down < 0.5, torch.where(on_left, a, b), torch.where(on_left, c, d))
    compared = 1.0 / values if kind == METRIC else values
    low, high = robust_range(compared)
    four = torch.stack(corners(compared))
    one_thing = four.amax(0) - four.amin(0) <= EDGE * (high - low)
    return torch.where(one_thing, smooth, near)


def _places(
    cells: int, pixels: int, margin: float, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Cells on either side of each pixel's centre, and how far it lies towards the second."""
    share = (torch.arange(pixels, device=device) + 0.5) / pixels
    at = ((margin + (1.0 - 2.0 * margin) * share) * cells - 0.5).clamp(0.0, cells - 1.0)
    first = at.floor().long()
    return first, (first + 1).clamp_max(cells - 1), at - first
