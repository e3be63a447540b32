"""Random scenes in which what can be said is also what can be seen."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from imgtool_tabletop.world.scene import (
    COLOURS,
    FINISHES,
    FLAT_TOPPED,
    SHAPES,
    SIZES,
    Camera,
    Light,
    Pebble,
    Scene,
    Solid,
)

ATTEMPTS: Final = 60


@dataclass(frozen=True, slots=True)
class Distribution:
    """Sampling weights; the renderer and grammar do everything, training may see less.

    counts : weight of 1, 2, … 6 solids. arrangements : weights of side by side, one behind the
    other, stacked, free. sizes, finishes, times : weights in the order of the world's names.
    tables : names and weights. view : share of unusual cameras (from above, close, wide).
    """

    counts: tuple[float, ...] = (0.27, 0.66, 0.05, 0.02)
    arrangements: tuple[float, ...] = (0.66, 0.18, 0.08, 0.08)
    shapes: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)
    sizes: tuple[float, ...] = (0.1, 0.6, 0.3)
    finishes: tuple[float, ...] = (0.62, 0.24, 0.14)
    times: tuple[float, ...] = (0.76, 0.12, 0.12)
    tables: tuple[tuple[str, float], ...] = (
        ("wood", 0.40),
        ("grey cloth", 0.30),
        ("marble", 0.16),
        ("checker", 0.05),
        ("slate", 0.03),
        ("green cloth", 0.03),
        ("blue cloth", 0.03),
    )
    view: float = 0.06
    clutter: float = 0.04
    same_object: float = 0.03


FIRST: Final = Distribution()
"""Mostly one or two solids on a few tables: what the first generator is trained on."""

BROAD: Final = Distribution(
    counts=(0.3, 0.5, 0.1, 0.05, 0.03, 0.02),
    tables=tuple((name, 1.0) for name, _ in FIRST.tables),
    times=(0.6, 0.2, 0.2),
    view=0.25,
    clutter=0.2,
)
"""Every table, light and framing often enough to be learned: what `tabletop/clip` is trained on."""

EVEN: Final = Distribution(
    counts=(0.2, 0.4, 0.2, 0.1, 0.06, 0.04),
    tables=tuple((name, 1.0) for name, _ in FIRST.tables),
    times=(1.0, 1.0, 1.0),
    view=0.25,
    clutter=0.25,
)
"""All the world's variety, for judges of it and for tests."""


def sample_scene(rng: random.Random, distribution: Distribution = FIRST) -> Scene:
    """A scene whose solids are all in the frame and little hidden by each other."""
    while True:
        count = 1 + rng.choices(range(len(distribution.counts)), distribution.counts)[0]
        camera = _camera(rng, distribution, count)
        looks = _looks(rng, distribution, count)
        for _ in range(ATTEMPTS):
            solids = _place(rng, distribution, looks, camera)
            if solids is not None and _clear(solids, camera):
                return _furnish(rng, distribution, solids, camera)


def _camera(rng: random.Random, distribution: Distribution, count: int) -> Camera:
    elevation = rng.uniform(28.0, 38.0)
    distance = rng.uniform(0.47, 0.54) * (1.0 if count <= 2 else 1.25)
    if rng.random() < distribution.view:
        if rng.random() < 0.5:
            elevation = rng.uniform(58.0, 72.0)
        else:
            distance *= 0.72 if count == 1 else 1.35
    return Camera(elevation, rng.uniform(-10.0, 10.0), distance, rng.uniform(33.0, 37.0))


def _looks(rng: random.Random, distribution: Distribution, count: int) -> list[Solid]:
    solids: list[Solid] = []
    while len(solids) < count:
        solid = Solid(
            rng.choices(SHAPES, distribution.shapes)[0],
            rng.choice(COLOURS),
            0.0,
            0.0,
            rng.choices(SIZES, distribution.sizes)[0],
            rng.choices(FINISHES, distribution.finishes)[0],
            yaw_deg=rng.uniform(0.0, 90.0),
        )
        if count >= 3 and rng.random() < 0.3:
            solid = replace(solid, size="small")
        if solids and rng.random() < distribution.same_object:
            solid = replace(solids[0], yaw_deg=solid.yaw_deg)
        elif any((s.shape, s.colour) == (solid.shape, solid.colour) for s in solids):
            continue
        solids.append(solid)
    return solids


def _place(
    rng: random.Random, distribution: Distribution, looks: list[Solid], camera: Camera
) -> list[Solid] | None:
    kind = rng.choices(range(4), distribution.arrangements)[0]
    if len(looks) == 1:
        spots = [(rng.uniform(-0.07, 0.07), rng.uniform(-0.06, 0.06))]
    elif kind == 0 and len(looks) == 2:
        gap = (looks[0].radius + looks[1].radius) * rng.uniform(1.1, 1.7) * 0.5
        shift = rng.uniform(-0.03, 0.03)
        depth = rng.uniform(-0.04, 0.04), rng.uniform(-0.04, 0.04)
        spots = [(shift - gap, depth[0]), (shift + gap, depth[1])]
    elif kind == 1 and len(looks) == 2:
        gap = (looks[0].radius + looks[1].radius) * rng.uniform(1.1, 1.7) * 0.5
        shift = rng.uniform(-0.05, 0.05)
        side = rng.uniform(-0.8, 0.8) * gap
        spots = [(shift - side, 0.01 - gap), (shift + side, 0.01 + gap)]
    else:
        spots = [(rng.uniform(-0.16, 0.16), rng.uniform(-0.13, 0.14)) for _ in looks]
    turn = math.radians(camera.azimuth_deg)
    cos, sin = math.cos(turn), math.sin(turn)
    solids = [
        replace(solid, x=u * cos - v * sin, y=u * sin + v * cos)
        for solid, (u, v) in zip(looks, spots, strict=True)
    ]
    if kind == 2 and len(solids) >= 2:
        return _stack(rng, solids)
    return solids


def _stack(rng: random.Random, solids: list[Solid]) -> list[Solid] | None:
    low, high = solids[0], solids[1]
    if low.shape not in FLAT_TOPPED or high.radius > low.radius * 1.01:
        return None
    x, y = (low.x + high.x) / 3.0, (low.y + high.y) / 3.0
    base = replace(low, x=x, y=y)
    slip = 0.12 * base.radius
    top = replace(
        high,
        x=x + rng.uniform(-slip, slip),
        y=y + rng.uniform(-slip, slip),
        base=base.height,
        support=0,
    )
    return [base, top, *solids[2:]]


def _clear(solids: list[Solid], camera: Camera) -> bool:
    """Whether all are well inside the frame, apart on the table, and little hidden."""
    discs = []
    for solid in solids:
        x, y, depth = camera.project(solid.centre)
        reach = solid.radius / (depth * camera.tan_half)
        if abs(x) + reach > 0.97 or abs(y) + reach > 0.97:
            return False
        discs.append((x, y, reach))
    for i, first in enumerate(solids):
        for j in range(i):
            second = solids[j]
            if first.support == j:
                continue
            apart = math.hypot(first.x - second.x, first.y - second.y)
            if apart < 1.02 * (first.radius + second.radius):
                return False
            seen = math.hypot(discs[i][0] - discs[j][0], discs[i][1] - discs[j][1])
            if seen < 0.72 * (discs[i][2] + discs[j][2]):
                return False
    return True


def _furnish(
    rng: random.Random, distribution: Distribution, solids: list[Solid], camera: Camera
) -> Scene:
    names = [name for name, _ in distribution.tables]
    weights = [weight for _, weight in distribution.tables]
    time = rng.choices(("noon", "morning", "evening"), distribution.times)[0]
    side = rng.choice((-1.0, 1.0))
    elevation = rng.uniform(48.0, 66.0) if time == "noon" else rng.uniform(34.0, 48.0)
    light = Light(time, side * rng.uniform(20.0, 75.0), elevation)
    pebbles = scatter_pebbles(rng, solids) if rng.random() < distribution.clutter else ()
    return Scene(
        tuple(solids),
        rng.choices(names, weights)[0],
        light,
        camera,
        pebbles,
        rng.uniform(0.0, 6.28),
    )


def scatter_pebbles(rng: random.Random, solids: Sequence[Solid]) -> tuple[Pebble, ...]:
    """Pebbles on the table where no solid stands: ten at most."""
    pebbles = []
    for _ in range(rng.randint(6, 10)):
        x, y = rng.uniform(-0.2, 0.2), rng.uniform(-0.17, 0.2)
        radius = rng.uniform(0.008, 0.014)
        if all(math.hypot(x - s.x, y - s.y) > s.radius + radius for s in solids):
            pebbles.append(Pebble(x, y, radius, rng.uniform(0.12, 0.35)))
    return tuple(pebbles)
