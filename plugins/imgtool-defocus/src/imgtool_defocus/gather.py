"""The soft-disc gather that fits image stacks (Wang et al., 2023): every pixel averages its disc.

Simple and differentiable. It knows no occlusion: a light out of focus does not spread over what is
sharp, and colours of what is sharp bleed into the blur around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_defocus.aperture import Aperture


def render(
    linear: Tensor, coc: Tensor, aperture: Aperture, floor_px: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Blurred light, and its coverage, which is 1. Parameters as in `imgtool_defocus.lens`.

    Parameters
    ----------
    floor_px : radii become sqrt(r^2 + floor_px^2). Under one pixel of diameter the output is the
        input and has no gradient in `coc`: training wants 0.5 here.
    """
    radius = torch.sqrt(coc.square() / 4.0 + floor_px**2) if floor_px else coc.abs() / 2.0
    radius = radius.clamp_min(0.5)
    widest = float(radius.detach().max())
    span = aperture.span(widest)
    height, width = coc.shape
    around = pad(linear[None], (span,) * 4, mode="replicate")[0]
    total, weights = torch.zeros_like(linear), torch.zeros_like(coc)
    for tap in aperture.taps(widest):
        # The light that comes from a place goes to it in the mirrored disc.
        weight = tap.weight(radius, coc <= 0)
        rows = slice(span + tap.dy, span + tap.dy + height)
        columns = slice(span + tap.dx, span + tap.dx + width)
        total = total + weight * around[:, rows, columns]
        weights = weights + weight
    return total / weights, torch.ones_like(coc)
