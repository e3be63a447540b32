"""A wall, two spheres and a cube, ray traced through a lens: what renderers are held to."""

from __future__ import annotations

import torch
from planes import APERTURE_M, FOCAL_PX, SIZE, lens_points
from torch import Tensor

MIDDLE = 79.5
SUPERSAMPLING, LENS_RAYS = 5, 768
Colour = tuple[float, float, float]
# Squares a metre, colours of odd and even ones.
WALL = (4.0, (0.9, 0.9, 0.6), (0.1, 0.2, 0.5))
LARGE = (9.0, (0.9, 0.2, 0.2), (0.95, 0.8, 0.7))
CUBE = (13.0, (0.2, 0.8, 0.3), (0.05, 0.25, 0.1))
SMALL = (30.0, (0.9, 0.6, 0.1), (0.3, 0.1, 0.4))
FAR = 6.0


def texture(point: Tensor, look: tuple[float, Colour, Colour]) -> Tensor:
    """Light [..., 3] of a surface at points [..., 3]: solid checkers."""
    squares, odd, even = look
    x, y, z = point.unbind(-1)
    parity = (x * squares).floor() + (y * squares).floor() + (z * squares + 0.01).floor()
    tint = torch.where(
        (parity.remainder(2.0) > 0.5)[..., None], point.new_tensor(odd), point.new_tensor(even)
    )
    return tint * (0.8 + 0.2 * torch.sin(18.0 * x + 14.0 * y + 10.0 * z))[..., None]


def sphere(origin: Tensor, ray: Tensor, centre: Colour, radius: float) -> Tensor:
    """Depth at which rays of unit depth hit a sphere; infinite where they do not."""
    apart = origin - origin.new_tensor(centre)
    a, b = ray.square().sum(-1), (ray * apart).sum(-1)
    root = b * b - a * (apart.square().sum(-1) - radius**2)
    return torch.where(root >= 0, (-b - root.clamp_min(0).sqrt()) / a, torch.inf)


def cube(origin: Tensor, ray: Tensor, centre: Colour, half: float) -> Tensor:
    """Depth at which rays of unit depth hit an upright cube; infinite where they do not."""
    middle = origin.new_tensor(centre)
    ends = torch.stack([(middle + side * half - origin) / ray for side in (-1.0, 1.0)])
    enters, leaves = ends.amin(0).amax(-1), ends.amax(0).amin(-1)
    return torch.where(enters < leaves, enters, torch.inf)


def seen(x: Tensor, y: Tensor, lens: Tensor, focus: float) -> tuple[Tensor, Tensor]:
    """Light [..., 3] and depth of rays from a lens point to pixels x, y of the plane in focus."""
    aim = torch.stack(((x - MIDDLE) / FOCAL_PX, (y - MIDDLE) / FOCAL_PX, torch.ones_like(x)), -1)
    origin = torch.cat((lens, lens.new_zeros(1)))
    ray = aim - origin / focus
    depths = torch.stack(
        (
            torch.full_like(x, FAR),
            sphere(origin, ray, (-0.18, -0.05, 3.0), 0.30),
            cube(origin, ray, (0.22, 0.10, 2.0), 0.14),
            sphere(origin, ray, (0.0, -0.14, 1.4), 0.07),
        )
    )
    depth, which = depths.min(0)
    point = origin + ray * depth[..., None]
    looks = torch.stack([texture(point, look) for look in (WALL, LARGE, CUBE, SMALL)])
    return looks.gather(0, which[None, ..., None].expand(1, *point.shape))[0], depth


def grid(samples: int) -> tuple[Tensor, Tensor]:
    """x and y of `samples` x `samples` places in each pixel, pixel centres at whole numbers."""
    line = (torch.arange(SIZE * samples, dtype=torch.float64) + 0.5) / samples - 0.5
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x, y


def sharp() -> tuple[Tensor, Tensor]:
    """Light [3, SIZE, SIZE] through a pinhole, and depth at pixel centres."""
    pinhole = torch.zeros(2, dtype=torch.float64)
    light, _ = seen(*grid(SUPERSAMPLING), pinhole, 1.0)
    planes = torch.nn.functional.avg_pool2d(light.permute(2, 0, 1), SUPERSAMPLING)
    return planes, seen(*grid(1), pinhole, 1.0)[1]


def traced(focus: float) -> Tensor:
    """Light [3, SIZE, SIZE] through the lens, each ray somewhere else in its pixel."""
    draw = torch.Generator().manual_seed(0)
    x, y = grid(1)
    total = torch.zeros(SIZE, SIZE, 3, dtype=torch.float64)
    for point in lens_points(LENS_RAYS):
        jitter = torch.rand(2, SIZE, SIZE, generator=draw, dtype=torch.float64) - 0.5
        total += seen(x + jitter[0], y + jitter[1], point, focus)[0]
    return (total / LENS_RAYS).permute(2, 0, 1)


def coc(depth: Tensor, focus: float) -> Tensor:
    """Signed diameters, pixels."""
    return APERTURE_M * FOCAL_PX * (1.0 / focus - 1.0 / depth)
