"""Convolution of planes with one kernel, in tiles: memory does not grow with the kernel's area."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import conv2d, pad

if TYPE_CHECKING:
    from torch import Tensor

DIRECT = 9
"""Widest kernel that is faster tap by tap than by Fourier transform."""
TILE = 512
GRAIN = 32


def convolve(planes: Tensor, kernel: Tensor, tile: int = TILE) -> Tensor:
    """`planes`, [C, H, W], convolved with `kernel`, [k, k], k odd; zero outside.

    Tiles without light are not computed.
    """
    size = kernel.shape[-1]
    if size == 1:
        return planes * kernel
    side = size // 2
    around = pad(planes, (side,) * 4)
    if size <= DIRECT:
        flipped = kernel.flip(0, 1).expand(len(planes), 1, size, size)
        return conv2d(around[None], flipped, groups=len(planes))[0]
    return _by_fourier(around, kernel, tile)


def _by_fourier(around: Tensor, kernel: Tensor, tile: int) -> Tensor:
    size = kernel.shape[-1]
    height, width = (length - size + 1 for length in around.shape[-2:])
    shape = [-(-(min(tile, n) + size - 1) // GRAIN) * GRAIN for n in (height, width)]
    spectrum = torch.fft.rfft2(kernel, s=shape)
    out = torch.zeros_like(around[:, :height, :width])
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            block = around[:, y : y + tile + size - 1, x : x + tile + size - 1]
            if not block.any():
                continue
            whole = torch.fft.irfft2(torch.fft.rfft2(block, s=shape) * spectrum, s=shape)
            rows, columns = (length - size + 1 for length in block.shape[-2:])
            valid = whole[:, size - 1 : size - 1 + rows, size - 1 : size - 1 + columns]
            out[:, y : y + rows, x : x + columns] = valid
    return out
