"""Slices of equal blur, composited from far to near: the renderer that knows occlusion.

A slice goes on, in colours of its own, under what is nearer, since an open lens looks behind edges.
Seen through one lens point at a time, hidden layers would show in order; blurring slices one by one
ignores that both were seen through the same point. It is exact where one of two slices that overlap
is in focus.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from imgtool_defocus.convolve import TILE, convolve
from imgtool_defocus.fill import grow, push_pull

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_defocus.aperture import Aperture

STEP, EVEN, RATIO = 0.5, 4.0, 1.08
"""Radii of slices grow by STEP pixels up to EVEN, then by RATIO."""
LEAST = 1e-6


def slice_radii(widest: float) -> list[float]:
    """Radii of slices, pixels, from 0 to the first that is at least `widest`."""
    radii = [0.0]
    while radii[-1] < widest:
        radii.append(radii[-1] + STEP if radii[-1] < EVEN else radii[-1] * RATIO)
    return radii


def slice_numbers(coc: Tensor, radii: list[float]) -> Tensor:
    """For each pixel the index of the nearest radius, negative before the focus; int64."""
    middles = [(low + high) / 2.0 for low, high in pairwise(radii)]
    bounds = torch.tensor(middles, dtype=coc.dtype, device=coc.device)
    return torch.bucketize(coc.abs() / 2.0, bounds) * torch.where(coc < 0, -1, 1)


def render(
    linear: Tensor, coc: Tensor, aperture: Aperture, tile: int = TILE
) -> tuple[Tensor, Tensor]:
    """Blurred light, and its coverage before it was divided by it.

    Parameters as in `imgtool_defocus.lens`.

    Parameters
    ----------
    tile : side of the squares in which wide discs are computed, pixels.
    """
    radii = slice_radii(float(coc.detach().abs().max()) / 2.0)
    numbers = slice_numbers(coc.detach(), radii)
    present = sorted(numbers.unique().tolist(), reverse=True)
    total = torch.zeros_like(torch.cat((linear, coc[None])))
    for at, number in enumerate(present):
        radius = radii[abs(number)]
        hidden = radius + max((radii[abs(n)] for n in present[at + 1 :]), default=0.0)
        own = numbers == number
        shown = own | (grow(own, math.ceil(hidden) + 1) & (numbers < number))
        window = _window(shown, aperture.span(radius))
        layer = _extended(linear[window], own[window[1:]], shown[window[1:]])
        blurred = convolve(layer, aperture.kernel(radius, number > 0, layer), tile)
        total[window] = total[window] * (1.0 - blurred[-1]) + blurred
    return total[:-1] / total[-1].clamp_min(LEAST), total[-1]


def _window(mask: Tensor, margin: int) -> tuple[slice, slice, slice]:
    """The least rectangle that holds `mask`, and `margin` pixels around it."""
    sides = []
    for axis in (1, 0):
        at = mask.any(axis).nonzero()
        low, high = int(at[0]) - margin, int(at[-1]) + margin + 1
        sides.append(slice(max(0, low), high))
    return slice(None), sides[0], sides[1]


def _extended(linear: Tensor, own: Tensor, shown: Tensor) -> Tensor:
    """[4, H, W], light times alpha and alpha, of a slice with what it has under nearer ones."""
    known, alpha = own.to(linear), shown.to(linear)
    return torch.cat((push_pull(linear, known) * alpha, alpha[None]))
