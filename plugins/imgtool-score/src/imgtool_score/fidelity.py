"""PSNR, SSIM and MS-SSIM of a picture and its reference. No weights.

Symbols: x picture, y reference, [B, C, H, W] in 0..1; µ mean, σ deviation, K constants.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

K1, K2 = 0.01, 0.03
WINDOW, SIGMA = 11, 1.5
# Wang, Simoncelli and Bovik (2003), "Multiscale structural similarity", section 3.2
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
LEAST_EDGE = {"ssim": WINDOW, "ms-ssim": (WINDOW - 1) * 2 ** (len(SCALES) - 1) + 1}


def luma(x: Tensor) -> Tensor:
    """[B, 1, H, W] of [B, 3, H, W]: Y of BT.601 in studio range, as restoration papers use it."""
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=x.dtype, device=x.device)
    return ((x * weights[:, None, None]).sum(1, keepdim=True) + 16) / 255


def psnr(x: Tensor, y: Tensor) -> list[float]:
    """10 log10(1 / MSE) of each pair, dB; +inf where both are equal."""
    errors = (x - y).square().flatten(1).mean(1).tolist()
    return [10 * math.log10(1 / error) if error > 0 else math.inf for error in errors]


def ssim(x: Tensor, y: Tensor) -> list[float]:
    """Wang et al. (2004), doi 10.1109/TIP.2003.819861, equation 13, averaged over the valid area.

    Raises
    ------
    ValueError : an edge is shorter than the window of 11 pixels.
    """
    _check_edge(x, "ssim")
    structure, luminance = _terms(x, y)
    return (structure * luminance).flatten(1).mean(1).tolist()  # type: ignore[no-any-return]


def ms_ssim(x: Tensor, y: Tensor) -> list[float]:
    """Wang et al. (2003), equation 7: five scales, halved by averaging; negative terms count 0.

    Raises
    ------
    ValueError : an edge is shorter than 161 pixels.
    """
    _check_edge(x, "ms-ssim")
    product = torch.ones(x.shape[:2], dtype=x.dtype, device=x.device)
    for level, weight in enumerate(SCALES):
        structure, luminance = _terms(x, y)
        last = level == len(SCALES) - 1
        term = (structure * luminance if last else structure).flatten(2).mean(2)
        product = product * term.clamp_min(0) ** weight
        if not last:
            odd = [edge % 2 for edge in x.shape[-2:]]
            x, y = (F.avg_pool2d(z, 2, padding=odd) for z in (x, y))
    return product.mean(1).tolist()  # type: ignore[no-any-return]


def _terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    window = _gaussian(x)
    mean_x, mean_y = _blur(x, window), _blur(y, window)
    var_x = _blur(x * x, window) - mean_x**2
    var_y = _blur(y * y, window) - mean_y**2
    covariance = _blur(x * y, window) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + K1**2) / (mean_x**2 + mean_y**2 + K1**2)
    return (2 * covariance + K2**2) / (var_x + var_y + K2**2), luminance


def _gaussian(like: Tensor) -> Tensor:
    places = torch.arange(WINDOW, dtype=like.dtype, device=like.device) - WINDOW // 2
    weights = torch.exp(-(places**2) / (2 * SIGMA**2))
    return weights / weights.sum()


def _blur(x: Tensor, window: Tensor) -> Tensor:
    channels = x.shape[1]
    across = window.expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(x, across, groups=channels), across.mT, groups=channels)


def _check_edge(x: Tensor, measure: str) -> None:
    least = LEAST_EDGE[measure]
    if min(x.shape[-2:]) < least:
        raise ValueError(f"{measure} needs edges of {least} pixels or more")
