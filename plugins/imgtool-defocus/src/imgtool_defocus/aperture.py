"""The shape of the aperture, and with it of the blur.

Every shape has the area of the circle of its f-number, so that exposure is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

QUADRATURE = 720


@dataclass(frozen=True)
class Tap:
    """A place in the disc around a pixel.

    Attributes
    ----------
    dy, dx : pixels down and to the right.
    distance : of the place from the pixel.
    behind, before : how far the shape of unit area radius reaches in that direction, behind the
        focus and before it, where it is seen point-mirrored.
    """

    dy: int
    dx: int
    distance: float
    behind: float
    before: float

    def weight(self, radius: Tensor, is_behind: Tensor) -> Tensor:
        """Share of this place that a disc of each `radius` covers, 0..1, with a ramp of a pixel."""
        reach = torch.where(is_behind, radius * self.behind, radius * self.before)
        return (reach + 0.5 - self.distance).clamp(0.0, 1.0)


@dataclass(frozen=True)
class Aperture:
    """A circle, or blades.

    Attributes
    ----------
    blades : sides of the polygon; under three it is a circle.
    rotation_deg : turns it, clockwise in the picture; unturned, a corner points right.
    curvature : 0 straight blades .. 1 a circle.
    """

    blades: int = 0
    rotation_deg: float = 0.0
    curvature: float = 0.0

    def _outline(self, angle: float) -> float:
        if self.blades < 3:
            return 1.0
        half = math.pi / self.blades
        from_side = (angle - math.radians(self.rotation_deg)) % (2.0 * half) - half
        straight = math.cos(half) / math.cos(from_side)
        return straight + self.curvature * (1.0 - straight)

    @cached_property
    def _scale(self) -> float:
        """Makes the area that of a unit circle."""
        step = 2.0 * math.pi / QUADRATURE
        squares = sum(self._outline(at * step) ** 2 for at in range(QUADRATURE))
        return math.sqrt(QUADRATURE / squares)

    @cached_property
    def extent(self) -> float:
        """How far the shape reaches at most, of the radius of the circle of its area."""
        return self._scale * self._outline(math.radians(self.rotation_deg))

    def reach(self, angle: float) -> float:
        """How far the shape reaches at `angle`, clockwise from the right, behind the focus."""
        return self._scale * self._outline(angle)

    def span(self, radius: float) -> int:
        """Pixels from the middle of a disc to the last that it touches."""
        return max(0, math.ceil(radius * self.extent + 0.5) - 1)

    def taps(self, radius: float) -> Iterator[Tap]:
        """Every place that a disc of up to `radius` pixels touches."""
        span = self.span(radius)
        for dy in range(-span, span + 1):
            for dx in range(-span, span + 1):
                distance, angle = math.hypot(dy, dx), math.atan2(dy, dx)
                if distance < radius * self.extent + 0.5:
                    yield Tap(dy, dx, distance, self.reach(angle), self.reach(angle + math.pi))

    def kernel(self, radius: float, is_behind: bool, like: Tensor) -> Tensor:
        """[k, k], sum 1: how one pixel's light spreads; dtype and device of `like`."""
        span = self.span(radius)
        line = torch.arange(-span, span + 1, dtype=torch.float64)
        y, x = torch.meshgrid(line, line, indexing="ij")
        reach = self._reaches(torch.atan2(y, x) + (0.0 if is_behind else math.pi))
        weight = (radius * reach + 0.5 - torch.hypot(y, x)).clamp(0.0, 1.0)
        return (weight / weight.sum()).to(like)

    def points(self, count: int) -> Tensor:
        """[n, 2] about `count` points spread evenly over the shape; Vogel (1979) spiral. float64.

        Down and right of the middle, as the picture shows them behind the focus; the circle of
        the shape's area has radius 1.
        """
        total = math.ceil(count * self.extent**2)
        at = torch.arange(total, dtype=torch.float64)
        reach = self.extent * ((at + 0.5) / total).sqrt()
        angle = (at * (math.pi * (3.0 - math.sqrt(5.0)))).remainder(2.0 * math.pi)
        places = torch.stack((reach * angle.sin(), reach * angle.cos()), dim=-1)
        return places[reach <= self._reaches(angle)]

    def _reaches(self, angle: Tensor) -> Tensor:
        if self.blades < 3:
            return torch.ones_like(angle)
        half = math.pi / self.blades
        from_side = (angle - math.radians(self.rotation_deg)).remainder(2.0 * half) - half
        straight = math.cos(half) / torch.cos(from_side)
        return self._scale * (straight + self.curvature * (1.0 - straight))
