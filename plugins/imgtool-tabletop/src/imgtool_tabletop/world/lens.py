"""Depth of field by a thin lens: many pinholes over the aperture, averaged in linear light."""

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from imgtool_tabletop.world.batch import SceneBatch
from imgtool_tabletop.world.camera import Rays, pinhole_rays
from imgtool_tabletop.world.render import encode_srgb
from imgtool_tabletop.world.shade import shade
from imgtool_tabletop.world.trace import first_hits


def aperture_points(count: int, radius_m: float) -> Tensor:
    """[count, 2] points spread evenly over a disc; Vogel (1979) spiral, metres."""
    index = torch.arange(count, dtype=torch.float32)
    reach = radius_m * torch.sqrt((index + 0.5) / count)
    angle = index * (math.pi * (3.0 - math.sqrt(5.0)))
    return torch.stack((reach * angle.cos(), reach * angle.sin()), dim=-1)


def lens_rays(batch: SceneBatch, pinhole: Rays, shift: Tensor, focus_m: float) -> Rays:
    """Rays through lens points `shift`, [2] or [B, 2], that meet the pinhole's in focus."""
    right, up = batch.axes[:, 0], batch.axes[:, 1]
    move = (right * shift[..., 0:1] + up * shift[..., 1:2])[:, None, :]
    forward = batch.axes[:, 2][:, None, :]
    target = pinhole.direction * (focus_m / pinhole.cosine)[..., None] - move
    direction = target / target.norm(dim=-1, keepdim=True)
    return Rays(pinhole.origin + move, direction, (direction * forward).sum(-1))


@torch.no_grad()
def render_thin_lens(
    batch: SceneBatch,
    focus_m: float,
    aperture_radius_m: float,
    size: int = 64,
    samples: int = 2,
    lens_points: int = 64,
) -> Tensor:
    """[B, 3, size, size] pictures, 0..1, sharp at depth `focus_m`.

    Cook, Porter & Carpenter (1984), with a fixed pattern over the aperture. An aperture of 0
    gives the pinhole's picture.

    Raises
    ------
    ValueError : `focus_m` is not positive or `aperture_radius_m` is negative.
    """
    if focus_m <= 0 or aperture_radius_m < 0:
        raise ValueError(f"focus_m {focus_m!r} must be > 0, aperture_radius_m >= 0")
    pinhole = pinhole_rays(batch, size, samples)
    points = aperture_points(lens_points, aperture_radius_m).to(batch.eye.device)
    total = torch.zeros_like(pinhole.direction)
    for shift in points:
        rays = lens_rays(batch, pinhole, shift, focus_m)
        total += shade(batch, rays, first_hits(batch, rays))
    side = size * samples
    planes = (total / lens_points).reshape(len(batch), side, side, 3).permute(0, 3, 1, 2)
    return encode_srgb(avg_pool2d(planes, samples))
