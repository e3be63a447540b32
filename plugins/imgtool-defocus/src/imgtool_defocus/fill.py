"""Values for pixels that have none, from the nearest that have one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import torch
from torch.nn.functional import pad

if TYPE_CHECKING:
    from torch import Tensor

NONE: Final = -1
FAR: Final = 1 << 62
"""Squared pixels; farther than anything."""
AROUND: Final = [step for step in itertools.product((-1, 0, 1), repeat=2) if any(step)]


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
    best, least = source[place], torch.full_like(place, FAR)
    step = 1 << farthest.bit_length()
    while step > 1:
        step //= 2
        for dy, dx in AROUND:
            row, column = (y + step * dy).clamp(0, height - 1), (x + step * dx).clamp(0, width - 1)
            other = source[row * width + column]
            squared = _distance(other, y, x, width)
            closer = squared < least
            best, least = best.where(~closer, other), least.where(~closer, squared)
            source[place] = best
    source[place[least > reach.flatten()[place].square()]] = NONE
    return source.reshape(height, width)


def _distance(source: Tensor, y: Tensor, x: Tensor, width: int) -> Tensor:
    """Squared, from y, x; `FAR` where there is no source."""
    row = source // width
    down, across = row - y, source - row * width - x
    return (down * down + across * across).where(source != NONE, FAR)


def _grown(mask: Tensor, reach: int) -> Tensor:
    """A boolean mask grown by `reach` pixels in rows and in columns."""
    return _grown_rows(_grown_rows(mask, reach).T, reach).T


def _grown_rows(mask: Tensor, reach: int) -> Tensor:
    width = mask.shape[1]
    counts = pad(mask.to(torch.int32).cumsum(1), (1, 0))
    at = torch.arange(width, device=mask.device)
    high, low = (at + reach + 1).clamp_max(width), (at - reach).clamp_min(0)
    return counts[:, high] > counts[:, low]
