"""Two planes seen through a lens, traced: what renderers are held to. All float64.

An opaque disc before a wall, both textured by formulas, so that hidden parts and what lies outside
the frame are known too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SIZE, CENTRE, EDGE = 160, 80.0, 44.0
FOCAL_PX, APERTURE_M = 453.333, 0.0472222
LENS_POINTS = 1024


def lens_points(count: int) -> Tensor:
    """[count, 2] points spread over the aperture, metres; Vogel (1979) spiral."""
    at = torch.arange(count, dtype=torch.float64)
    reach = APERTURE_M / 2.0 * torch.sqrt((at + 0.5) / count)
    angle = at * (math.pi * (3.0 - math.sqrt(5.0)))
    return torch.stack((reach * angle.cos(), reach * angle.sin()), dim=-1)


def front(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Light of the disc, [3, …], and where it is."""
    shade = 0.6 + 0.4 * torch.sin(0.9 * x) * torch.sin(0.7 * y)
    light = torch.stack([tint * shade for tint in (0.9, 0.25, 0.2)])
    return light, torch.hypot(x - CENTRE, y - CENTRE) < EDGE


def back(x: Tensor, y: Tensor) -> Tensor:
    """Light of the wall, [3, …]."""
    shade = 0.6 + 0.4 * torch.sin(0.5 * x + 0.3 * y)
    return torch.stack([tint * shade for tint in (0.2, 0.6, 0.95)])


def pixels(margin: int = 0) -> tuple[Tensor, Tensor]:
    """x and y of every pixel of the frame and of `margin` pixels around it."""
    line = torch.arange(-margin, SIZE + margin, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x, y


@dataclass(frozen=True)
class Planes:
    """Depths of disc and wall, and the focus, metres."""

    near: float
    far: float
    focus: float

    def coc_at(self, depth: float) -> float:
        """Signed diameter of the blur disc, pixels."""
        return APERTURE_M * FOCAL_PX * (1.0 / self.focus - 1.0 / depth)

    def sharp(self, margin: int = 0) -> tuple[Tensor, Tensor]:
        """Light [3, …] through a pinhole, and the signed blur discs of its pixels."""
        x, y = pixels(margin)
        light, inside = front(x, y)
        coc = torch.where(inside, self.coc_at(self.near), self.coc_at(self.far))
        return torch.where(inside, light, back(x, y)), coc

    def traced(self) -> Tensor:
        """Light [3, SIZE, SIZE] through the lens: first hits of rays from all over it."""
        x, y = pixels()
        total = torch.zeros(3, SIZE, SIZE, dtype=torch.float64)
        for u, v in lens_points(LENS_POINTS).tolist():
            shift = [FOCAL_PX * (1.0 / z - 1.0 / self.focus) for z in (self.near, self.far)]
            light, inside = front(x + u * shift[0], y + v * shift[0])
            behind = back(x + u * shift[1], y + v * shift[1])
            total += torch.where(inside, light, behind)
        return total / LENS_POINTS


def psnr(a: Tensor, b: Tensor) -> float:
    """Decibels below a peak of 1."""
    return -10.0 * math.log10(float((a - b).square().mean()))
