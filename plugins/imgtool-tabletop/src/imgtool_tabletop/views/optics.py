"""The thin lens in numbers. Pure functions of scalars and depth maps.

v  image distance, from lens to sensor; it fixes the angle of view, so pictures with and without
   blur lie over each other, wherever the focus is
f  focal length, 1/f = 1/v + 1/s;  N  f-number;  A = f/N  diameter of the aperture
s  distance in focus;  z  depth;  w  width of the sensor;  W  width of the picture in pixels
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Lens:
    """A focused thin lens before a square sensor; millimetres, `focus_m` metres."""

    image_distance_mm: float
    f_number: float
    focus_m: float
    sensor_mm: float = 24.0

    @property
    def focal_mm(self) -> float:
        """f, by the thin lens equation."""
        v, s = self.image_distance_mm, 1000.0 * self.focus_m
        return v * s / (v + s)

    @property
    def aperture_mm(self) -> float:
        """A, the diameter."""
        return self.focal_mm / self.f_number

    def strength(self, width: int) -> float:
        """K = A v W / w, pixels times metres: the blur disc is K (1/s - 1/z)."""
        return self.aperture_mm / 1000.0 * self.image_distance_mm * width / self.sensor_mm


def circle_of_confusion(depth: Tensor, lens: Lens, width: int) -> Tensor:
    """Diameter of the blur disc of each pixel, in pixels; positive behind the focus.

    Potmesil & Chakravarty (1981), written in inverse depth.

    Parameters
    ----------
    depth : metres along the axis, > 0, of any shape.
    width : of the picture, pixels.
    """
    return lens.strength(width) * (1.0 / lens.focus_m - 1.0 / depth)
