"""Blur kernels of degradations: Gaussian, generalized, plateau and sinc.

Wang et al. (2021), arXiv 2107.10833, sections 3.2 and 3.4. All are [n, n] float32, n odd, sum 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _radius(size: int, wide: float, narrow: float, turn: float) -> Tensor:
    """Squared distance from the middle in standard deviations along the turned axes."""
    line = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(line, line, indexing="ij")
    u = math.cos(turn) * x + math.sin(turn) * y
    v = math.cos(turn) * y - math.sin(turn) * x
    return (u / wide) ** 2 + (v / narrow) ** 2


def _normal(kernel: Tensor) -> Tensor:
    return (kernel / kernel.sum()).float()


def gaussian(size: int, wide: float, narrow: float, turn: float, beta: float = 1.0) -> Tensor:
    """Generalized Gaussian exp(-(q/2)^beta); `beta` 1 is the Gaussian. `turn` in radians."""
    return _normal(torch.exp(-0.5 * _radius(size, wide, narrow, turn).pow(beta)))


def plateau(size: int, wide: float, narrow: float, turn: float, beta: float) -> Tensor:
    """1 / (1 + q^beta): flat in the middle."""
    return _normal(1.0 / (1.0 + _radius(size, wide, narrow, turn).pow(beta)))


def sinc(size: int, cutoff: float) -> Tensor:
    """Circular low pass that rings; `cutoff` in radians a pixel, up to pi."""
    distance = _radius(size, 1.0, 1.0, 0.0).sqrt()
    middle = size // 2
    distance[middle, middle] = 1.0
    kernel = cutoff * torch.special.bessel_j1(cutoff * distance) / (2 * math.pi * distance)
    kernel[middle, middle] = cutoff**2 / (4 * math.pi)
    return _normal(kernel)


def blur(picture: Tensor, kernel: Tensor) -> Tensor:
    """[3, H, W] picture under a kernel; edges are repeated outside."""
    reach = kernel.shape[-1] // 2
    padded = torch.nn.functional.pad(picture[None], (reach,) * 4, mode="replicate")
    return torch.nn.functional.conv2d(padded.transpose(0, 1), kernel[None, None])[:, 0]
