"""Where rays meet each shape, in the shape's own frame (centre at 0, axis z).

Each function takes `origin` and `direction` [N, 3], `radius` and `half` (half height) [N], metres,
and returns the distance `t` [N] (inf: no hit) and the outward normal [N, 3] there. Rays start
outside. Underside caps that a camera above the table cannot see are left out where noted.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

INF: Final = float("inf")
TORUS_RING: Final = 0.70
TORUS_TUBE: Final = 0.30
CYLINDER_RADIUS: Final = 0.80
CONE_RADIUS: Final = 0.95
Hit = tuple[Tensor, Tensor]


def sphere(origin: Tensor, direction: Tensor, radius: Tensor, half: Tensor) -> Hit:
    """A ball of `radius`."""
    b = (origin * direction).sum(-1)
    c = (origin * origin).sum(-1) - radius * radius
    square = b * b - c
    t = -b - square.clamp_min(0).sqrt()
    t = torch.where((square > 0) & (t > 0), t, INF)
    normal = (origin + direction * _finite(t)) / radius[:, None]
    return t, normal


def cube(origin: Tensor, direction: Tensor, radius: Tensor, half: Tensor) -> Hit:
    """A cube of half side `half`; slab method, Kay & Kajiya (1986)."""
    inverse = 1.0 / torch.where(direction.abs() < 1e-7, 1e-7, direction)
    middle = -origin * inverse
    reach = inverse.abs() * half[:, None]
    near, axis = (middle - reach).max(dim=-1)
    far = (middle + reach).amin(dim=-1)
    t = torch.where((near < far) & (near > 0), near, INF)
    normal = torch.zeros_like(origin)
    sign = -torch.gather(direction, 1, axis[:, None]).sign()
    return t, normal.scatter(1, axis[:, None], sign)


def cylinder(origin: Tensor, direction: Tensor, radius: Tensor, half: Tensor) -> Hit:
    """An upright cylinder with its top cap; the bottom cap is left out."""
    wide = radius * CYLINDER_RADIUS
    flat_o, flat_d = origin[:, :2], direction[:, :2]
    a = (flat_d * flat_d).sum(-1).clamp_min(1e-9)
    b = (flat_o * flat_d).sum(-1)
    c = (flat_o * flat_o).sum(-1) - wide * wide
    square = b * b - a * c
    side = (-b - square.clamp_min(0).sqrt()) / a
    z = origin[:, 2] + direction[:, 2] * side
    side = torch.where((square > 0) & (side > 0) & (z.abs() <= half), side, INF)
    top = (half - origin[:, 2]) / torch.where(direction[:, 2].abs() < 1e-7, 1e-7, direction[:, 2])
    at = flat_o + flat_d * top[:, None]
    top = torch.where((top > 0) & ((at * at).sum(-1) <= wide * wide), top, INF)
    t = torch.minimum(side, top)
    point = origin + direction * _finite(t)
    is_top = top <= side
    round_ = torch.cat((point[:, :2] / wide[:, None], torch.zeros_like(point[:, 2:])), dim=-1)
    up = torch.zeros_like(origin)
    up[:, 2] = 1.0
    return t, torch.where(is_top[:, None], up, round_)


def cone(origin: Tensor, direction: Tensor, radius: Tensor, half: Tensor) -> Hit:
    """An upright cone, apex at the top; its base is left out."""
    slope = radius * CONE_RADIUS / (2.0 * half)
    k = slope * slope
    ox, oy, oz = origin[:, 0], origin[:, 1], origin[:, 2] - half
    dx, dy, dz = direction.unbind(-1)
    a = dx * dx + dy * dy - k * dz * dz
    b = ox * dx + oy * dy - k * oz * dz
    c = ox * ox + oy * oy - k * oz * oz
    root = (b * b - a * c).clamp_min(0).sqrt()
    a = torch.where(a.abs() < 1e-9, 1e-9, a)
    best = torch.full_like(a, INF)
    for t in ((-b - root) / a, (-b + root) / a):
        z = oz + dz * t
        fits = (b * b - a * c > 0) & (t > 0) & (z <= 0) & (z >= -2 * half)
        best = torch.where(fits & (t < best), t, best)
    point = origin + direction * _finite(best)
    lift = torch.hypot(point[:, 0], point[:, 1]) * slope
    normal = torch.stack((point[:, 0], point[:, 1], lift), dim=-1)
    return best, normal / normal.norm(dim=-1, keepdim=True).clamp_min(1e-9)


def torus(origin: Tensor, direction: Tensor, radius: Tensor, half: Tensor) -> Hit:
    """A lying ring, by sphere tracing: Hart (1996); distances are exact to about 1e-5 m."""
    ring, tube = radius * TORUS_RING, radius * TORUS_TUBE
    b = (origin * direction).sum(-1)
    c = (origin * origin).sum(-1) - radius * radius
    reach = (b * b - c).clamp_min(0).sqrt()
    t = (-b - reach).clamp_min(1e-4)
    end = -b + reach
    for _ in range(20):
        point = origin + direction * t[:, None]
        across = torch.hypot(point[:, 0], point[:, 1]) - ring
        t = t + torch.hypot(across, point[:, 2]) - tube
    point = origin + direction * t[:, None]
    flat = torch.hypot(point[:, 0], point[:, 1]).clamp_min(1e-9)
    across = flat - ring
    distance = torch.hypot(across, point[:, 2]) - tube
    t = torch.where((distance.abs() < 4e-4) & (t < end) & (end > 0), t, INF)
    turn = across / flat
    normal = torch.stack((point[:, 0] * turn, point[:, 1] * turn, point[:, 2]), dim=-1)
    return t, normal / normal.norm(dim=-1, keepdim=True).clamp_min(1e-9)


def _finite(t: Tensor) -> Tensor:
    return torch.where(t.isinf(), 0.0, t)[:, None]


INTERSECT: Final[tuple[Callable[[Tensor, Tensor, Tensor, Tensor], Hit], ...]] = (
    sphere,
    cube,
    cylinder,
    cone,
    torus,
)
"""In the order of `imgtool_tabletop.world.scene.SHAPES`."""

BOUND: Final = (1.0, 0.82 * 3**0.5, 1.2425, 1.38, 1.0)
"""Radius of each shape's bounding ball, in radii."""
