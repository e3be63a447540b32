"""What photographs have in common: power 1/f^2, and the same look at every scale.

Field (1987); Ruderman (1994), Network 5(4). Measures of pictures, and noise that has them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def frequencies(size: int) -> Tensor:
    """[size, size] distance from zero frequency, cycles a picture, laid out as torch.fft does."""
    line = torch.fft.fftfreq(size, 1.0 / size)
    return torch.hypot(line[:, None], line[None])


def power_noise(size: int, slope: float, generator: torch.Generator, planes: int) -> Tensor:
    """[planes, size, size] noise of power 1/f^slope, mean 0, deviation 1; it tiles."""
    white = torch.randn(planes, size, size, generator=generator)
    gain = frequencies(size).clamp_min(1.0).pow(-slope / 2.0)
    gain[0, 0] = 0.0
    shaped = torch.fft.ifft2(torch.fft.fft2(white) * gain).real
    return shaped / shaped.std(dim=(-2, -1), keepdim=True)


def spectrum_slope(pictures: Tensor) -> float:
    """a in power ~ 1/f^a, from pictures [B, H, H] of one brightness.

    The line of least squares through log power at whole frequencies from 2 to H/4 cycles a picture,
    each the mean over directions and pictures, under a Hann window.
    """
    size = pictures.shape[-1]
    line = torch.hann_window(size, periodic=False)
    window = line[:, None] * line[None]
    flat = pictures - pictures.mean(dim=(-2, -1), keepdim=True)
    power = torch.fft.fft2(flat * window).abs().square().mean(0)
    ring = frequencies(size).round().long()
    chosen = torch.arange(2, size // 4 + 1)
    mean = torch.stack([power[ring == f].mean() for f in chosen.tolist()])
    x, y = chosen.float().log(), mean.log()
    x, y = x - x.mean(), y - y.mean()
    return -float((x * y).sum() / (x * x).sum())
