"""What a scene is: solids on a table, a light and a camera, as plain values.

Lengths are metres, angles degrees. The table top is the plane z = 0, z points up; at azimuth 0
the camera looks along +y and x points right. Nothing here imports torch; pictures are made in
`imgtool_tabletop.world.render`.
"""

import math
from dataclasses import dataclass, field
from typing import Final

SHAPES: Final = ("sphere", "cube", "cylinder", "cone", "torus")
COLOURS: Final = ("red", "green", "blue", "yellow", "cyan", "purple", "white", "black")
SIZES: Final = ("small", "medium", "large")
FINISHES: Final = ("matte", "shiny", "striped")
TABLES: Final = ("wood", "marble", "grey cloth", "green cloth", "blue cloth", "checker", "slate")
LIGHTS: Final = ("noon", "morning", "evening")

RADII_M: Final = (0.036, 0.05, 0.068)
"""Half the extent of a small, medium and large solid."""

HALF_HEIGHT: Final = {"sphere": 1.0, "cube": 0.82, "cylinder": 0.95, "cone": 1.0, "torus": 0.3}
"""Half the height of each shape, in radii."""

FLAT_TOPPED: Final = frozenset({"cube", "cylinder"})
"""Shapes on which another solid can stand."""


@dataclass(frozen=True, slots=True)
class Solid:
    """One solid; `x` and `y` are its axis on the table, `base` the height of its foot."""

    shape: str
    colour: str
    x: float
    y: float
    size: str = "medium"
    finish: str = "matte"
    base: float = 0.0
    yaw_deg: float = 0.0
    support: int | None = None

    @property
    def radius(self) -> float:
        """Half the extent, metres."""
        return RADII_M[SIZES.index(self.size)]

    @property
    def height(self) -> float:
        """Height from foot to top, metres."""
        return 2.0 * HALF_HEIGHT[self.shape] * self.radius

    @property
    def centre(self) -> tuple[float, float, float]:
        """Middle of the solid, metres."""
        return self.x, self.y, self.base + 0.5 * self.height


@dataclass(frozen=True, slots=True)
class Pebble:
    """A grey pebble: clutter that captions may count as such but never name."""

    x: float
    y: float
    radius: float
    shade: float


@dataclass(frozen=True, slots=True)
class Light:
    """A far light; azimuth 0 is behind the camera's back, +90 its right-hand side."""

    time: str = "noon"
    azimuth_deg: float = 30.0
    elevation_deg: float = 55.0


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that looks at `target`; the sensor is square, 24 mm a side."""

    elevation_deg: float = 32.0
    azimuth_deg: float = 0.0
    distance_m: float = 0.62
    focal_mm: float = 34.0
    target: tuple[float, float, float] = (0.0, 0.0, 0.03)

    @property
    def tan_half(self) -> float:
        """Half the picture's extent at distance 1."""
        return 12.0 / self.focal_mm

    @property
    def position(self) -> tuple[float, float, float]:
        """Where the pinhole is, metres."""
        az, el = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        across = self.distance_m * math.cos(el)
        x, y, z = self.target
        return (
            x + across * math.sin(az),
            y - across * math.cos(az),
            z + self.distance_m * math.sin(el),
        )

    @property
    def axes(self) -> tuple[tuple[float, float, float], ...]:
        """Right, up and forward unit vectors in world coordinates."""
        az, el = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        sa, ca, se, ce = math.sin(az), math.cos(az), math.sin(el), math.cos(el)
        return (ca, sa, 0.0), (-sa * se, ca * se, ce), (-sa * ce, ca * ce, -se)

    def project(self, point: tuple[float, float, float]) -> tuple[float, float, float]:
        """Picture coordinates in [-1, 1] (x right, y down) and depth along the axis, metres."""
        at = self.position
        offset = [p - q for p, q in zip(point, at, strict=True)]
        right, up, forward = (
            sum(o * a for o, a in zip(offset, axis, strict=True)) for axis in self.axes
        )
        scale = forward * self.tan_half
        return right / scale, -up / scale, forward


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything the renderer needs to know about one picture."""

    solids: tuple[Solid, ...]
    table: str = "wood"
    light: Light = field(default_factory=Light)
    camera: Camera = field(default_factory=Camera)
    pebbles: tuple[Pebble, ...] = ()
    texture_seed: float = 0.0
