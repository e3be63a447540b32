"""Colours of surfaces: table textures, stripes, Lambert and Blinn-Phong under one far light."""

import math

import torch
from torch import Tensor

from imgtool_tabletop.world.batch import SceneBatch
from imgtool_tabletop.world.camera import Rays
from imgtool_tabletop.world.scene import FINISHES, TABLES
from imgtool_tabletop.world.trace import Surface, shadowed

AMBIENT = 0.34
DIFFUSE = 0.80
SHINE = 0.85
SHINE_EXPONENT = 42.0
CLOTH = {"grey cloth": (0.30, 0.30, 0.31), "green cloth": (0.10, 0.20, 0.12)}
CLOTH |= {"blue cloth": (0.10, 0.15, 0.27), "slate": (0.10, 0.105, 0.12)}


def _mix(share: Tensor, low: tuple[float, ...], high: tuple[float, ...]) -> Tensor:
    first, second = share.new_tensor(low), share.new_tensor(high)
    return first + share[..., None] * (second - first)


def table_albedo(name: str, x: Tensor, y: Tensor, seed: Tensor) -> Tensor:
    """Linear albedo [..., 3] of the table look `name` at `x`, `y` metres; `seed` shifts it."""
    if name == "wood":
        wave = 7.0 * x + 46.0 * y + 1.3 * torch.sin(9.0 * x + seed) + 2.1 * seed
        grain = 0.5 + 0.5 * torch.sin(wave + 1.5 * torch.sin(21.0 * y + seed))
        return _mix(grain, (0.26, 0.135, 0.06), (0.38, 0.215, 0.105))
    if name == "marble":
        bend = 2.2 * torch.sin(13.0 * x - 5.0 * y + seed) + 1.3 * torch.sin(29.0 * y + 2.0 * seed)
        vein = (1.0 - torch.sin(12.0 * x + 15.0 * y + bend + seed).abs()).square().square()
        return _mix(vein, (0.56, 0.55, 0.53), (0.36, 0.36, 0.37))
    if name == "checker":
        cells = torch.floor(x * 11.0 + 0.3 * seed) + torch.floor(y * 11.0)
        return _mix(torch.remainder(cells, 2.0), (0.20, 0.16, 0.13), (0.50, 0.45, 0.38))
    weave = 0.5 + 0.25 * (torch.sin(260.0 * x) + torch.sin(260.0 * y))
    base = CLOTH[name]
    return _mix(weave, tuple(0.93 * v for v in base), tuple(1.07 * v for v in base))


def room_colour(batch: SceneBatch, direction: Tensor) -> Tensor:
    """The unlit backdrop: a grey gradient, tinted by the light."""
    rise = (0.5 + direction[..., 2]).clamp(0.0, 1.0)
    return (0.16 + 0.42 * rise)[..., None] * batch.light_colour[:, None, :]


def _body_albedo(batch: SceneBatch, surface: Surface) -> Tensor:
    hits = surface.hits
    colour = batch.albedo[hits.scene, hits.body]
    striped = batch.finish[hits.scene, hits.body] == FINISHES.index("striped")
    band = (torch.sin(hits.local_z * (math.tau * 1.75)) > 0.15) & striped
    # Stripes go darker on bright colours and lighter on black, so the name stays right.
    dark = colour.amax(-1, keepdim=True) < 0.1
    other = torch.where(dark, colour + 0.13, colour * 0.30)
    return torch.where(band[:, None], other, colour)


def shade(batch: SceneBatch, rays: Rays, surface: Surface) -> Tensor:
    """Linear light [B, P, 3] that each ray brings back."""
    point = rays.origin + rays.direction * surface.t[..., None]
    colour = room_colour(batch, rays.direction)
    on_table = surface.body == -1
    dark = shadowed(batch, point, surface.body)
    sun = batch.light_colour[:, None, :]
    lit = AMBIENT + DIFFUSE * batch.light[:, None, 2] * ~dark
    look = torch.empty_like(colour)
    for code, name in enumerate(TABLES):
        rows = (batch.table == code).nonzero()[:, 0]
        if len(rows):
            x, y = point[rows, :, 0], point[rows, :, 1]
            look[rows] = table_albedo(name, x, y, batch.texture_seed[rows, None])
    colour = torch.where(on_table[..., None], look * lit[..., None] * sun, colour)
    return _shade_bodies(batch, rays, surface, dark, colour)


def _shade_bodies(
    batch: SceneBatch, rays: Rays, surface: Surface, dark: Tensor, colour: Tensor
) -> Tensor:
    hits = surface.hits
    light, sun = batch.light[hits.scene], batch.light_colour[hits.scene]
    lit = ~dark[hits.scene, hits.ray]
    facing = (hits.normal * light).sum(-1).clamp_min(0) * lit
    # A little more sky from above than from below keeps shaded sides readable.
    ambient = AMBIENT * (0.8 + 0.35 * hits.normal[:, 2])
    albedo = _body_albedo(batch, surface)
    result = albedo * sun * (ambient + DIFFUSE * facing)[:, None]
    view = rays.direction[hits.scene, hits.ray]
    between = light - view
    between = between * torch.rsqrt((between * between).sum(-1, keepdim=True).clamp_min(1e-9))
    shiny = (batch.finish[hits.scene, hits.body] == FINISHES.index("shiny")) & lit
    gloss = (hits.normal * between).sum(-1).clamp_min(0).pow(SHINE_EXPONENT)
    result = result + (SHINE * gloss * shiny)[:, None] * sun
    flat = hits.scene * colour.shape[1] + hits.ray
    out = colour.reshape(-1, 3).index_copy(0, flat, result)
    return out.reshape(colour.shape)
