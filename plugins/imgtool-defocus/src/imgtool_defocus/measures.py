"""How wrong depth maps are: over the whole picture, and at edges, where points fly.

An edge is a step between neighbours by more than `STEP` of the nearer depth; the band around edges
is a pixel wide on either side. Maps without units are first fitted to the truth in the space in
which they are affine (`align.aligned`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch.nn.functional import max_pool2d, pad

if TYPE_CHECKING:
    from torch import Tensor

WITHIN: Final = 1.25
FLYING: Final = 0.05
"""Share by which a flying point is away from every depth around it."""
STEP: Final = 0.1


def absolute_relative(made: Tensor, true: Tensor) -> float:
    """AbsRel: mean of |made - true| / true, of metres (Eigen et al. 2014)."""
    return float(((made - true).abs() / true).mean())


def delta1(made: Tensor, true: Tensor) -> float:
    """Share of pixels that are wrong by a factor below 1.25."""
    ratio = (made / true).clamp_min(1e-6)
    return float((ratio.maximum(1.0 / ratio) < WITHIN).double().mean())


def edge_band(true: Tensor) -> Tensor:
    """[H, W], where a step in depth [H, W] is at most a pixel away."""
    log = true.log()
    edge = torch.zeros_like(log, dtype=torch.bool)
    down, across = (log.diff(dim=at).abs() > STEP for at in (0, 1))
    edge[:-1] |= down
    edge[1:] |= down
    edge[:, :-1] |= across
    edge[:, 1:] |= across
    return max_pool2d(edge[None].float(), 3, 1, 1)[0] > 0


def flying_share(made: Tensor, true: Tensor, band: Tensor) -> float:
    """Share of the band that is over 5 percent away from all true depths in its 3×3; NaN of none.

    Such points hang in the air between two things, or before or behind them all.
    """
    return float(_flies(made, _around(true))[band].double().mean())


def between_share(made: Tensor, true: Tensor, band: Tensor) -> float:
    """Share of the band that flies between the nearest and the farthest true depth of its 5×5.

    A blurred edge does that; noise and a thing at a wrong distance need not. NaN of no band.
    """
    near, far = (sign * max_pool2d(sign * true[None], 5, 1, 2)[0] for sign in (-1, 1))
    inside = (made > near) & (made < far)
    return float((inside & _flies(made, _around(true)))[band].double().mean())


def _around(true: Tensor) -> Tensor:
    """[H, W, 9], true depths of each 3×3."""
    padded = pad(true[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    return padded.unfold(0, 3, 1).unfold(1, 3, 1).flatten(2)


def _flies(made: Tensor, around: Tensor) -> Tensor:
    away: Tensor = ((made[..., None] - around).abs() / around).amin(-1)
    return away > FLYING


def edge_chamfer(made: Tensor, true: Tensor, band: Tensor, focal_px: float) -> float:
    """Metres between points of the band as made and as they are, both ways; NaN of none.

    Parameters
    ----------
    focal_px : focal length, pixels; the axis goes through the middle of the picture.
    """
    ours, theirs = (_points(depth, band, focal_px) for depth in (made, true))
    if not len(ours):
        return float("nan")
    apart = torch.cdist(ours, theirs)
    return float((apart.amin(1).mean() + apart.amin(0).mean()) / 2)


def _points(depth: Tensor, band: Tensor, focal_px: float) -> Tensor:
    """[N, 3] metres, of the pixels in the band."""
    height, width = depth.shape
    rows, columns = (torch.arange(side) - (side - 1) / 2 for side in (height, width))
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    rays = torch.stack((column, row, torch.full_like(row, focal_px)), dim=-1) / focal_px
    return (rays * depth[..., None])[band].double()
