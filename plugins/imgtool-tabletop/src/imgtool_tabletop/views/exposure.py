"""One picture through an open lens: every ray of a pixel has its own point of the aperture.

`world.lens` averages whole anti-aliased pictures, one a lens point; here a lens point is a sample
of the pixel's area as well, which takes a quarter of the rays for the same picture.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from imgtool_tabletop.world.batch import SceneBatch, gather
from imgtool_tabletop.world.camera import rays_through, sensor_grid
from imgtool_tabletop.world.lens import aperture_points, lens_rays
from imgtool_tabletop.world.render import CHUNK_RAYS, encode_srgb
from imgtool_tabletop.world.shade import shade
from imgtool_tabletop.world.trace import first_hits

if TYPE_CHECKING:
    from imgtool_tabletop.views.optics import Lens
    from imgtool_tabletop.world.scene import Scene

# 1/g and 1/g^2, g^3 = g + 1: multiples of them fill a square evenly.
PLASTIC = (0.7548776662466927, 0.5698402909980532)


def pixel_offsets(count: int) -> Tensor:
    """[count, 2] points spread evenly over a pixel, -0.5..0.5."""
    return (torch.arange(1, count + 1)[:, None] * torch.tensor(PLASTIC)) % 1.0 - 0.5


def expose(scene: Scene, lens: Lens, size: int, points: int) -> Tensor:
    """[3, size, size] picture, sRGB-coded 0..1; as many rays a pixel as lens `points`."""
    one = gather([scene])
    shifts = aperture_points(points, lens.aperture_mm / 2000.0)
    grids = sensor_grid(size, 1, one.eye.device) + pixel_offsets(points)[:, None] * (2.0 / size)
    total = torch.zeros(size * size, 3)
    for part in torch.arange(points).split(max(1, CHUNK_RAYS // size**2)):
        batch = _repeated(one, len(part))
        rays = lens_rays(batch, rays_through(batch, grids[part]), shifts[part], lens.focus_m)
        total += shade(batch, rays, first_hits(batch, rays)).sum(0)
    return encode_srgb((total / points).T.reshape(3, size, size))


def _repeated(batch: SceneBatch, times: int) -> SceneBatch:
    rows = torch.zeros(times, dtype=torch.long)
    return SceneBatch(**{f.name: getattr(batch, f.name)[rows] for f in fields(batch)})
