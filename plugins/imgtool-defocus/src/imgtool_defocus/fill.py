"""Values for pixels that have none, from those around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import avg_pool2d, interpolate

if TYPE_CHECKING:
    from torch import Tensor


def push_pull(planes: Tensor, known: Tensor) -> Tensor:
    """`planes`, [C, H, W], with smooth values where `known`, [H, W] of 0 and 1, is 0.

    Gortler et al. (1996): averages of ever larger blocks, laid under what is known.
    """
    if min(known.shape) == 1 or bool(known.all()):
        return planes
    weighted = torch.cat((planes * known, known[None]))
    coarse = avg_pool2d(weighted[None], 2, ceil_mode=True, count_include_pad=False)[0]
    weight = coarse[-1]
    means = coarse[:-1] / weight.clamp_min(torch.finfo(weight.dtype).tiny)
    below = push_pull(means, (weight > 0).to(planes))
    size = known.shape[-2:]
    smooth = interpolate(below[None], size=size, mode="bilinear", align_corners=False)[0]
    return torch.where(known > 0, planes, smooth)


def nearest(plane: Tensor, known: Tensor) -> Tensor:
    """`plane`, [H, W], with the nearest known value where `known`, boolean, is false.

    Jump flooding (Rong & Tan, 2006): nearest but for rare pixels between two that are as near.
    """
    height, width = plane.shape
    y, x = torch.meshgrid(
        *(torch.arange(n, device=plane.device) for n in (height, width)), indexing="ij"
    )
    far = 4 * (height + width)
    source = torch.stack((y, x)).where(known, -far)
    step = 1 << max(height, width).bit_length()
    while step > 1:
        step //= 2
        for dy in (-step, 0, step):
            for dx in (-step, 0, step):
                source = _nearer(source, y, x, dy, dx)
    return plane[source[0].clamp(0, height - 1), source[1].clamp(0, width - 1)]


def _nearer(source: Tensor, y: Tensor, x: Tensor, dy: int, dx: int) -> Tensor:
    height, width = y.shape
    other = source[:, (y + dy).clamp(0, height - 1), (x + dx).clamp(0, width - 1)]
    reach = (source[0] - y) ** 2 + (source[1] - x) ** 2
    other_reach = (other[0] - y) ** 2 + (other[1] - x) ** 2
    return torch.where(other_reach < reach, other, source)


def grow(mask: Tensor, reach: int) -> Tensor:
    """A boolean mask, [H, W], grown by `reach` pixels in rows and in columns."""
    return _grow_rows(_grow_rows(mask, reach).T, reach).T


def _grow_rows(mask: Tensor, reach: int) -> Tensor:
    width = mask.shape[1]
    counts = torch.nn.functional.pad(mask.to(torch.int32).cumsum(1), (1, 0))
    at = torch.arange(width, device=mask.device)
    high, low = (at + reach + 1).clamp_max(width), (at - reach).clamp_min(0)
    return counts[:, high] > counts[:, low]
