"""Between code values and linear light: light adds, code values do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

BRIGHT, SOFT = 0.94, 0.06
VISIBLE_COC = 2.0


def decode_srgb(code: Tensor) -> Tensor:
    """Linear light of code values 0..1; IEC 61966-2-1, piecewise."""
    curve = ((code.clamp_min(0.04045) + 0.055) / 1.055).pow(2.4)
    return torch.where(code <= 0.04045, code / 12.92, curve)


def encode_srgb(linear: Tensor) -> Tensor:
    """Code values 0..1 of linear light, clipped; IEC 61966-2-1, piecewise."""
    light = linear.clamp(0.0, 1.0)
    curve = 1.055 * light.clamp_min(0.0031308).pow(1.0 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, curve)


def boost_highlights(linear: Tensor, coc: Tensor, stops: float) -> Tensor:
    """Light of clipped pixels times 2^`stops`, where blur will spread it.

    A lamp is far brighter than the white that it was clipped to.

    Parameters
    ----------
    linear : [3, H, W], 0..1. coc : [H, W], pixels; discs of up to two pixels are left alone.
    """
    if not stops:
        return linear
    peak = encode_srgb(linear).amax(0)
    share = ((peak - BRIGHT) / SOFT).clamp(0.0, 1.0) * (coc.abs() > VISIBLE_COC)
    return linear * (1.0 + share * (2.0**stops - 1.0))
