"""Resizing by any factor, antialiased. Which of the many bicubics this is: Keys' a = -0.5."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def area_weights(old: int, new: int) -> Tensor:
    """[new, old] shares of each old pixel in each new one: exact overlap of their extents."""
    step = old / new
    start = torch.arange(new, dtype=torch.float64)[:, None] * step
    pixel = torch.arange(old, dtype=torch.float64)[None]
    overlap = torch.minimum(start + step, pixel + 1) - torch.maximum(start, pixel)
    return (overlap.clamp_min(0) / step).float()


def resize(picture: Tensor, height: int, width: int, method: str) -> Tensor:
    """[C, height, width] of a picture [C, H, W] by `bicubic`, `bilinear` or `area`.

    Bicubic overshoots: results may leave 0..1.
    """
    if method == "area":
        rows = area_weights(picture.shape[-2], height)
        return rows @ picture @ area_weights(picture.shape[-1], width).T
    return interpolate(picture[None], (height, width), mode=method, antialias=True)[0]
