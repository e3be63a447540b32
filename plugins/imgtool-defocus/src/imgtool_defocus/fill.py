"""Values for pixels that have none, from the nearest that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

if TYPE_CHECKING:
    from torch import Tensor

NONE = -1


def filled(plane: Tensor, known: Tensor) -> Tensor:
    """`plane`, [H, W], with the nearest known value where `known`, boolean, is false."""
    anywhere = torch.full(known.shape, float(sum(known.shape)), device=known.device)
    return plane.flatten()[nearest(known, anywhere).clamp_min(0)]


def nearest(known: Tensor, reach: Tensor) -> Tensor:
    """Index, in rows laid end to end, of the known pixel nearest to each; [H, W], int64.

    A known pixel is its own nearest; `NONE` where no known one is within `reach`. Jump flooding
    (Rong & Tan, 2006), over pixels with a reach alone: nearest but for rare ones between two that
    are almost as near.

    Parameters
    ----------
    known : [H, W], boolean. reach : [H, W], pixels; under 1, no other pixel is asked.
    """
    height, width = known.shape
    source = torch.full((height * width,), NONE, device=known.device)
    own = known.flatten().nonzero()[:, 0]
    source[own] = own
    farthest = int(reach.max())
    place = ((reach >= 1) & ~known & _grown(known, farthest)).flatten().nonzero()[:, 0]
    y, x = place // width, place % width
    step = 1 << farthest.bit_length()
    while step > 1:
        step //= 2
        for dy in (-step, 0, step):
            for dx in (-step, 0, step):
                beside = (y + dy).clamp(0, height - 1) * width + (x + dx).clamp(0, width - 1)
                source[place] = _nearer(source[place], source[beside], y, x, width)
    too_far = _distance(source[place], y, x, width) > reach.flatten()[place].square()
    source[place[too_far]] = NONE
    return source.reshape(height, width)


def _nearer(source: Tensor, other: Tensor, y: Tensor, x: Tensor, width: int) -> Tensor:
    closer = _distance(other, y, x, width) < _distance(source, y, x, width)
    return torch.where(closer, other, source)


def _distance(source: Tensor, y: Tensor, x: Tensor, width: int) -> Tensor:
    """Squared, from y, x; far more than any where there is no source."""
    squared = (source // width - y) ** 2 + (source % width - x) ** 2
    return squared.where(source != NONE, torch.iinfo(squared.dtype).max)


def _grown(mask: Tensor, reach: int) -> Tensor:
    """A boolean mask grown by `reach` pixels in rows and in columns."""
    return _grown_rows(_grown_rows(mask, reach).T, reach).T


def _grown_rows(mask: Tensor, reach: int) -> Tensor:
    width = mask.shape[1]
    counts = pad(mask.to(torch.int32).cumsum(1), (1, 0))
    at = torch.arange(width, device=mask.device)
    high, low = (at + reach + 1).clamp_max(width), (at - reach).clamp_min(0)
    return counts[:, high] > counts[:, low]
