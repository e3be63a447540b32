"""Every pixel spreads its light over its disc, no light lost or won: the reference for highlights.

It knows no occlusion. Where discs of different size meet, more or less light arrives than was sent
out: the coverage says how much, and divided by it the picture is even, but lights are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_defocus.aperture import Aperture


def render(linear: Tensor, coc: Tensor, aperture: Aperture) -> tuple[Tensor, Tensor]:
    """Light that arrives, and its coverage. Parameters as in `imgtool_defocus.lens`."""
    radius = (coc.abs() / 2.0).clamp_min(0.5)
    widest = float(radius.detach().max())
    is_behind = coc > 0
    area = torch.zeros_like(coc)
    for tap in aperture.taps(widest):
        area = area + tap.weight(radius, is_behind)
    sent = torch.cat((linear, torch.ones_like(coc)[None])) / area
    height, width = coc.shape
    arrived = torch.zeros_like(sent)
    for tap in aperture.taps(widest):
        light = sent * tap.weight(radius, is_behind)
        to_y, from_y = overlap(tap.dy, height)
        to_x, from_x = overlap(tap.dx, width)
        arrived[:, to_y, to_x] += light[:, from_y, from_x]
    return arrived[:-1], arrived[-1]


def overlap(shift: int, size: int) -> tuple[slice, slice]:
    """Where things end and begin that move by `shift` and stay inside."""
    low, high = max(0, shift), max(0, min(size, size + shift))
    return slice(low, high), slice(low - shift, high - shift)
