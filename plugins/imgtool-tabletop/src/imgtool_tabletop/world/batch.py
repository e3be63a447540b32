"""Many scenes as tensors, padded to the same number of bodies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from imgtool_tabletop.world.scene import (
    FINISHES,
    HALF_HEIGHT,
    LIGHTS,
    SHAPES,
    TABLES,
    Scene,
)

# Linear-light albedos; chosen so that hues stay apart under all three lights.
ALBEDO: Final = {
    "red": (0.72, 0.03, 0.03),
    "green": (0.04, 0.48, 0.05),
    "blue": (0.03, 0.09, 0.75),
    "yellow": (0.86, 0.66, 0.02),
    "cyan": (0.04, 0.62, 0.68),
    "purple": (0.36, 0.04, 0.50),
    "white": (0.90, 0.90, 0.90),
    "black": (0.018, 0.018, 0.018),
}
LIGHT_COLOUR: Final = {
    "noon": (1.0, 1.0, 1.0),
    "morning": (1.06, 0.96, 0.78),
    "evening": (1.05, 0.74, 0.46),
}


@dataclass(frozen=True)
class SceneBatch:
    """`B` scenes with up to `K` bodies; absent bodies have `shape` -1.

    shape, finish : [B, K] int64. centre : [B, K, 3], radius, half_height, yaw : [B, K] float32,
    metres and radians. albedo : [B, K, 3] linear. table : [B] int64. texture_seed : [B].
    light, light_colour : [B, 3]. eye : [B, 3]; axes : [B, 3, 3] rows right, up, forward;
    tan_half : [B].
    """

    shape: Tensor
    finish: Tensor
    centre: Tensor
    radius: Tensor
    half_height: Tensor
    yaw: Tensor
    albedo: Tensor
    table: Tensor
    texture_seed: Tensor
    light: Tensor
    light_colour: Tensor
    eye: Tensor
    axes: Tensor
    tan_half: Tensor

    def __len__(self) -> int:
        return self.shape.shape[0]

    def to(self, device: torch.device | str) -> "SceneBatch":
        """The same scenes on `device`."""
        return SceneBatch(**{name: value.to(device) for name, value in vars(self).items()})


def _bodies(scene: Scene) -> list[list[float]]:
    rows = []
    for solid in scene.solids:
        half = HALF_HEIGHT[solid.shape] * solid.radius
        codes = [SHAPES.index(solid.shape), FINISHES.index(solid.finish)]
        form = [solid.radius, half, math.radians(solid.yaw_deg)]
        rows.append([*codes, *solid.centre, *form, *ALBEDO[solid.colour]])
    for pebble in scene.pebbles:
        # A pebble is a sphere sunk by half into the table.
        form = [pebble.radius, pebble.radius, 0.0]
        rows.append([0, 0, pebble.x, pebble.y, 0.0, *form, *([pebble.shade] * 3)])
    return rows


def _light_direction(scene: Scene) -> tuple[float, float, float]:
    turn = math.radians(scene.light.azimuth_deg + scene.camera.azimuth_deg)
    rise = math.radians(scene.light.elevation_deg)
    flat = math.cos(rise)
    return flat * math.sin(turn), -flat * math.cos(turn), math.sin(rise)


def gather(scenes: Sequence[Scene]) -> SceneBatch:
    """Tensors of `scenes`, on the CPU."""
    bodies = [_bodies(scene) for scene in scenes]
    slots = max(1, max(len(rows) for rows in bodies))
    absent = [-1.0, 0.0, 0.0, 0.0, -9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    padded = torch.tensor([rows + [absent] * (slots - len(rows)) for rows in bodies])
    return SceneBatch(
        shape=padded[..., 0].long(),
        finish=padded[..., 1].long(),
        centre=padded[..., 2:5].contiguous(),
        radius=padded[..., 5].contiguous(),
        half_height=padded[..., 6].contiguous(),
        yaw=padded[..., 7].contiguous(),
        albedo=padded[..., 8:11].contiguous(),
        table=torch.tensor([TABLES.index(scene.table) for scene in scenes]),
        texture_seed=torch.tensor([scene.texture_seed for scene in scenes]),
        light=torch.tensor([_light_direction(scene) for scene in scenes]),
        light_colour=torch.tensor([LIGHT_COLOUR[scene.light.time] for scene in scenes]),
        eye=torch.tensor([scene.camera.position for scene in scenes]),
        axes=torch.tensor([scene.camera.axes for scene in scenes]),
        tan_half=torch.tensor([scene.camera.tan_half for scene in scenes]),
    )


assert LIGHTS == tuple(LIGHT_COLOUR)
