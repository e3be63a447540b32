"""The thin lens in numbers. Pure functions of scalars and depth maps.

f  focal length, mm;  N  f-number;  A = f/N  diameter of the aperture, mm
s  distance in focus, m;  z  depth along the axis, m;  v  distance from lens to sensor, mm
w  width of the sensor, mm;  W  width of the picture, pixels
K  strength of the blur, pixels times metres: the disc of a point at z is K (1/s - 1/z)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Lens:
    """A focused thin lens before a sensor; millimetres, `focus_m` metres and may be infinite.

    `sensor_mm` is the side of the sensor that the picture's width lies along.

    Raises
    ------
    ValueError : a number is not positive, or the focus is nearer than the focal length.
    """

    focal_mm: float
    f_number: float
    focus_m: float
    sensor_mm: float

    def __post_init__(self) -> None:
        numbers = (self.focal_mm, self.f_number, self.sensor_mm)
        if not all(0 < number < math.inf for number in numbers):
            raise ValueError(f"focal length, f-number and sensor {numbers} must be positive")
        if not self.focus_m * 1000 > self.focal_mm:
            raise ValueError(
                f"the focus at {self.focus_m:g} m is nearer than a focal length of "
                f"{self.focal_mm:g} mm"
            )

    @property
    def aperture_mm(self) -> float:
        """A, the diameter."""
        return self.focal_mm / self.f_number

    @property
    def image_distance_mm(self) -> float:
        """v = f s / (s - f), by the thin lens equation; f where the focus is at infinity."""
        return self.focal_mm / (1.0 - self.focal_mm / (1000.0 * self.focus_m))

    def strength(self, width: int) -> float:
        """K = A v W / w."""
        return self.aperture_mm / 1000.0 * self.image_distance_mm * width / self.sensor_mm


def circle_of_confusion(depth: Tensor, lens: Lens, width: int) -> Tensor:
    """Diameter of the blur disc of each pixel, in pixels; positive behind the focus.

    Potmesil & Chakravarty (1981), written in inverse depth, where it is exact.

    Parameters
    ----------
    depth : metres along the axis, > 0, may be infinite, of any shape.
    width : of the picture, pixels.
    """
    return lens.strength(width) * (1.0 / lens.focus_m - 1.0 / depth)


def depth_of_field(lens: Lens, blur_mm: float) -> tuple[float, float]:
    """Nearest and farthest depth, metres, whose discs are no wider than `blur_mm` on the sensor."""
    f, s = lens.focal_mm, 1000.0 * lens.focus_m
    hyperfocal = f * f / (lens.f_number * blur_mm) + f
    if math.isinf(s):
        return (hyperfocal - f) / 1000.0, math.inf
    near = s * (hyperfocal - f) / (hyperfocal + s - 2.0 * f)
    far = s * (hyperfocal - f) / (hyperfocal - s) if hyperfocal > s else math.inf
    return near / 1000.0, far / 1000.0
