"""Pictures of scenes, and the exact depth, masks and normals that go with them.

The same scenes give the same picture on every run of one machine; nothing here draws at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from imgtool_tabletop.world.batch import SceneBatch, gather
from imgtool_tabletop.world.camera import pinhole_rays
from imgtool_tabletop.world.scene import Camera, Scene
from imgtool_tabletop.world.shade import shade
from imgtool_tabletop.world.trace import first_hits

CHUNK_RAYS = 1 << 17


@dataclass(frozen=True)
class Picture:
    """Image and truth of `B` scenes, `S` pixels square.

    image : [B, 3, S, S] float32, sRGB-coded, 0..1, anti-aliased. visible_share : [B, K], how much
    of each body's outline is not hidden by others; 1 where it has none in the frame.
    """

    image: Tensor
    visible_share: Tensor


@dataclass(frozen=True)
class Geometry:
    """Exact values at pixel centres.

    depth : [B, S, S] float32, metres along the camera's axis. body : [B, S, S] int64, index of
    the body seen, -1 table, -2 room. normal : [B, 3, S, S], outward, in world coordinates.
    """

    depth: Tensor
    body: Tensor
    normal: Tensor


def encode_srgb(linear: Tensor) -> Tensor:
    """Display values 0..1 of linear light: a plain power 1/2.2, clipped."""
    return linear.clamp(0.0, 1.0).add(1e-6).pow(1.0 / 2.2)


def _slices(count: int, size: int, samples: int) -> list[slice]:
    step = max(1, CHUNK_RAYS // (size * samples) ** 2)
    return [slice(at, at + step) for at in range(0, count, step)]


def _part(batch: SceneBatch, rows: slice) -> SceneBatch:
    return SceneBatch(**{name: value[rows] for name, value in vars(batch).items()})


@torch.no_grad()
def render_batch(batch: SceneBatch, size: int = 64, samples: int = 2) -> Picture:
    """Render with `samples`^2 rays in each pixel."""
    images, shares = [], []
    for rows in _slices(len(batch), size, samples):
        part = _part(batch, rows)
        rays = pinhole_rays(part, size, samples)
        surface = first_hits(part, rays)
        light = shade(part, rays, surface)
        side = size * samples
        planes = light.reshape(len(part), side, side, 3).permute(0, 3, 1, 2)
        images.append(encode_srgb(avg_pool2d(planes, samples)))
        alone = surface.silhouette.clamp_min(1)
        shares.append(torch.where(surface.silhouette > 0, surface.seen / alone, 1.0))
    return Picture(torch.cat(images), torch.cat(shares))


def render(scenes: Sequence[Scene], size: int = 64, samples: int = 2) -> Tensor:
    """[B, 3, size, size] pictures of `scenes`, 0..1, on the CPU."""
    return render_batch(gather(scenes), size, samples).image


@torch.no_grad()
def measure(batch: SceneBatch, size: int = 64) -> Geometry:
    """Depth, masks and normals at pixel centres."""
    parts = []
    for rows in _slices(len(batch), size, 1):
        part = _part(batch, rows)
        rays = pinhole_rays(part, size)
        surface = first_hits(part, rays)
        depth = surface.t * rays.cosine
        point = rays.origin + rays.direction * surface.t[..., None]
        up = torch.zeros_like(point)
        up[..., 2] = 1.0
        inward = -point / point.norm(dim=-1, keepdim=True)
        normal = torch.where((surface.body == -1)[..., None], up, inward)
        normal[surface.hits.scene, surface.hits.ray] = surface.hits.normal
        square = (len(part), size, size)
        parts.append(
            Geometry(
                depth.reshape(square),
                surface.body.reshape(square),
                normal.reshape(*square, 3).permute(0, 3, 1, 2),
            )
        )
    names = Geometry.__dataclass_fields__
    return Geometry(**{n: torch.cat([getattr(part, n) for part in parts]) for n in names})


def other_view(scene: Scene, camera: Camera) -> Scene:
    """The same things under the same light, seen by another camera."""
    # Light azimuth is told from behind the camera: turn it back so that the sun stays put.
    turn = scene.camera.azimuth_deg - camera.azimuth_deg
    light = replace(scene.light, azimuth_deg=scene.light.azimuth_deg + turn)
    return replace(scene, camera=camera, light=light)
