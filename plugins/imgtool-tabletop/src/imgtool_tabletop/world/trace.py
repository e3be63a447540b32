"""Nearest hits and shadows: every ray against every body, with a bounding-ball test first."""

from dataclasses import dataclass

import torch
from torch import Tensor

from imgtool_tabletop.world.batch import SceneBatch
from imgtool_tabletop.world.camera import Rays
from imgtool_tabletop.world.intersect import BOUND, INF, INTERSECT

TABLE_HALF_M = 0.55
ROOM_RADIUS_M = 2.5


@dataclass(frozen=True)
class Candidates:
    """Exact hits of rays on bodies: indices of scene, ray and body, distance, normal, height."""

    scene: Tensor
    ray: Tensor
    body: Tensor
    t: Tensor
    normal: Tensor
    local_z: Tensor


@dataclass(frozen=True)
class Surface:
    """What each ray of [B, P] meets first.

    t : [B, P] metres along the ray. body : [B, P] int64; -1 table, -2 room. hits : the winning
    body hits, one for each ray whose `body` >= 0. silhouette : [B, K] rays that would meet each
    body if it stood alone; seen : [B, K] rays that do meet it.
    """

    t: Tensor
    body: Tensor
    hits: Candidates
    silhouette: Tensor
    seen: Tensor


def _near_bodies(batch: SceneBatch, origin: Tensor, direction: Tensor) -> Tensor:
    """[M, 3] indices (scene, ray, body) whose bounding balls the rays may meet."""
    bound = batch.radius.new_tensor(BOUND)[batch.shape.clamp_min(0)] * batch.radius
    centre = batch.centre.transpose(1, 2)
    b = (origin * direction).sum(-1, keepdim=True) - direction @ centre
    square = (origin * origin).sum(-1, keepdim=True) - 2.0 * (origin @ centre)
    c = square + (batch.centre.square().sum(-1) - bound * bound)[:, None, :]
    near = (b * b > c) & (b < 0) & (batch.shape >= 0)[:, None, :]
    return near.nonzero()


def body_hits(batch: SceneBatch, rays: Rays, *, near: Tensor | None = None) -> Candidates:
    """All exact hits of rays on bodies, unordered."""
    index = _near_bodies(batch, rays.origin, rays.direction) if near is None else near
    kind = batch.shape[index[:, 0], index[:, 2]]
    parts = []
    for code, meet in enumerate(INTERSECT):
        chosen = index[kind == code]
        if len(chosen) == 0:
            continue
        scene, ray, body = chosen.unbind(-1)
        at = rays.origin[scene, ray if rays.origin.shape[1] > 1 else 0]
        origin = at - batch.centre[scene, body]
        direction = rays.direction[scene, ray]
        angle = batch.yaw[scene, body]
        cos, sin = angle.cos(), angle.sin()
        local_o, local_d = _turn(origin, cos, sin), _turn(direction, cos, sin)
        size, half = batch.radius[scene, body], batch.half_height[scene, body]
        t, normal = meet(local_o, local_d, size, half)
        keep = t < INF
        z = (local_o[:, 2] + local_d[:, 2] * t)[keep] / size[keep]
        world = _turn(normal[keep], cos[keep], -sin[keep])
        parts.append(Candidates(scene[keep], ray[keep], body[keep], t[keep], world, z))
    if not parts:
        none = index.new_zeros(0)
        empty = batch.radius.new_zeros(0)
        return Candidates(none, none, none, empty, empty.reshape(0, 3), empty)
    names = Candidates.__dataclass_fields__
    return Candidates(**{n: torch.cat([getattr(part, n) for part in parts]) for n in names})


def _turn(vector: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    x, y, z = vector.unbind(-1)
    return torch.stack((cos * x + sin * y, cos * y - sin * x, z), dim=-1)


def _background(rays: Rays) -> tuple[Tensor, Tensor]:
    """Distance to table or room ball, and the code of which it is."""
    dz = rays.direction[..., 2]
    down = torch.where(dz < -1e-6, -rays.origin[..., 2] / dz.clamp_max(-1e-6), INF)
    reach = down.clamp_max(10.0)
    x = rays.origin[..., 0] + rays.direction[..., 0] * reach
    y = rays.origin[..., 1] + rays.direction[..., 1] * reach
    on_table = (x.abs() <= TABLE_HALF_M) & (y.abs() <= TABLE_HALF_M) & (down < 10.0)
    b = (rays.origin * rays.direction).sum(-1)
    c = (rays.origin * rays.origin).sum(-1) - ROOM_RADIUS_M**2
    room = -b + (b * b - c).clamp_min(0).sqrt()
    return torch.where(on_table, down, room), torch.where(on_table, -1, -2)


def first_hits(batch: SceneBatch, rays: Rays) -> Surface:
    """The nearest surface of every ray."""
    scenes, bodies = batch.shape.shape
    count = rays.direction.shape[1]
    t, code = _background(rays)
    found = body_hits(batch, rays)
    flat = found.scene * count + found.ray
    nearest = t.reshape(-1).scatter_reduce(0, flat, found.t, "amin")
    wins = found.t <= nearest[flat]
    code = code.reshape(-1).scatter(0, flat[wins], found.body[wins])
    slot = found.scene * bodies + found.body
    silhouette = torch.bincount(slot, minlength=scenes * bodies)
    seen = torch.bincount(slot[wins], minlength=scenes * bodies)
    names = Candidates.__dataclass_fields__
    return Surface(
        t=nearest.reshape(scenes, count),
        body=code.reshape(scenes, count),
        hits=Candidates(**{n: getattr(found, n)[wins] for n in names}),
        silhouette=silhouette.reshape(scenes, bodies),
        seen=seen.reshape(scenes, bodies),
    )


def shadowed(batch: SceneBatch, point: Tensor, body: Tensor) -> Tensor:
    """[B, P] bool: the far light does not reach `point` [B, P, 3] on `body` [B, P].

    A body never shades itself here: on convex shapes the angle to the light says so already.
    """
    direction = batch.light[:, None, :].expand_as(point)
    near = _near_bodies(batch, point, direction)
    scene, ray, caster = near.unbind(-1)
    near = near[(body[scene, ray] != caster) & (body[scene, ray] > -2)]
    hits = body_hits(batch, Rays(point, direction, body), near=near)
    dark = torch.zeros(point.shape[:2], dtype=torch.bool, device=point.device)
    dark[hits.scene, hits.ray] = True
    return dark
