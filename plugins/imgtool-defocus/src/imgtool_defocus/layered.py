"""Slices of equal blur, composited from near to far: the renderer that knows occlusion.

A slice goes on, in colours of its own, under what is nearer, since an open lens looks behind edges.
Slices of one surface are seen through parts of the lens of their own, so they add up, and what is
farther gets what they leave of it. Blurring slices one by one ignores that all were seen through
the same points of the lens: it is exact where one of two slices that overlap is in focus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from imgtool_defocus.convolve import TILE, convolve
from imgtool_defocus.fill import NONE, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_defocus.aperture import Aperture

STEP, EVEN, RATIO = 0.5, 4.0, 1.08
"""Radii of slices grow by STEP pixels up to about EVEN, then by RATIO."""
LEAST = 1e-6


def slice_ends(widest: float) -> list[float]:
    """Widest radius of each slice, pixels; the last is at least `widest`.

    The first holds all discs of up to a pixel, which stay points.
    """
    ends, middle = [STEP], 1.5 * STEP
    while ends[-1] < widest:
        ends.append(middle)
        middle = middle + STEP if middle < EVEN else middle * RATIO
    return ends


def slice_numbers(coc: Tensor) -> Tensor:
    """Number of each pixel's slice: 0 in focus, more farther behind it, negative before it."""
    radius = coc.abs() / 2.0
    ends = torch.tensor(slice_ends(float(radius.max())), dtype=coc.dtype, device=coc.device)
    return torch.bucketize(radius, ends) * torch.where(coc < 0, -1, 1)


def render(
    linear: Tensor, coc: Tensor, aperture: Aperture, tile: int = TILE
) -> tuple[Tensor, Tensor]:
    """Blurred light, and its coverage before it was divided by it.

    Parameters as in `imgtool_defocus.lens`; `coc` gets no gradient.

    Parameters
    ----------
    tile : side of the squares in which wide discs are computed, pixels.
    """
    coc = coc.detach()
    numbers = slice_numbers(coc)
    total = torch.zeros_like(torch.cat((linear, coc[None])))
    for number in sorted(numbers.unique().tolist()):
        own = numbers == number
        radius = float(coc[own].mean()) / 2.0
        # Behind an edge, the lens sees as far as the two discs move apart over half of it.
        behind = (radius - coc / 2.0).where(numbers < number, 0.0)
        window = _window(own, int(behind.max()) + aperture.span(abs(radius)))
        layer = _layer(linear[window], nearest(own[window[1:]], behind[window[1:]]))
        blurred = convolve(layer, aperture.kernel(abs(radius), radius > 0, layer), tile)
        left = 1.0 - total[-1][window[1:]]
        total[window] += blurred * (left / blurred[-1].clamp_min(LEAST)).clamp(0.0, 1.0)
    return total[:-1] / total[-1].clamp_min(LEAST), total[-1]


def _window(mask: Tensor, margin: int) -> tuple[slice, slice, slice]:
    """The least rectangle that holds `mask`, and `margin` pixels around it."""
    sides = []
    for axis in (1, 0):
        at = mask.any(axis).nonzero()
        low, high = int(at[0]) - margin, int(at[-1]) + margin + 1
        sides.append(slice(max(0, low), high))
    return slice(None), sides[0], sides[1]


def _layer(linear: Tensor, source: Tensor) -> Tensor:
    """[4, h, w], light times alpha and alpha, of a slice with what it has under nearer ones."""
    alpha = (source != NONE).to(linear)
    light = linear.flatten(1)[:, source.clamp_min(0)]
    return torch.cat((light * alpha, alpha[None]))
