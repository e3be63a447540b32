"""Rays of a pinhole camera."""

from dataclasses import dataclass

import torch
from torch import Tensor

from imgtool_tabletop.world.batch import SceneBatch


@dataclass(frozen=True)
class Rays:
    """Half-lines `origin + t * direction`.

    origin : [B, P or 1, 3] metres. direction : [B, P, 3] unit vectors. cosine : [B, P], between
    direction and the camera's axis, so that depth = t * cosine.
    """

    origin: Tensor
    direction: Tensor
    cosine: Tensor


def sensor_grid(size: int, samples: int, device: torch.device) -> Tensor:
    """[(size * samples)^2, 2] sample positions in [-1, 1]: x right, y down."""
    n = size * samples
    line = (torch.arange(n, device=device, dtype=torch.float32) + 0.5) * (2.0 / n) - 1.0
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack((x, y), dim=-1).reshape(-1, 2)


def pinhole_rays(batch: SceneBatch, size: int, samples: int = 1) -> Rays:
    """Rays through a regular grid of `samples`^2 points in each of `size`^2 pixels."""
    return rays_through(batch, sensor_grid(size, samples, batch.eye.device))


def rays_through(batch: SceneBatch, grid: Tensor) -> Rays:
    """Rays through sensor positions [P, 2], or [B, P, 2], in [-1, 1]: x right, y down."""
    x, y = grid.unbind(-1)
    planar = torch.stack((x, -y, torch.ones_like(x)), dim=-1)
    scale = torch.stack((batch.tan_half, batch.tan_half, torch.ones_like(batch.tan_half)), dim=-1)
    direction = torch.matmul(planar, batch.axes * scale[:, :, None])
    inverse = torch.rsqrt((direction * direction).sum(-1, keepdim=True))
    return Rays(batch.eye[:, None, :], direction * inverse, inverse[..., 0])
