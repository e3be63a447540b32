"""What the vision tower of `tabletop/vlm` learns first: what a patch shows and where it lies."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from imgtool_tabletop.world.scene import COLOURS, FINISHES, SHAPES, SIZES, Scene

GRID = 8
PATCHES = GRID * GRID
IGNORE = -100
"""Label of a patch or token that nothing is to be said of."""
INNER = 0.75
"""Share of a solid's radius within which a patch surely shows it."""
MIDDLE_WEIGHT = 8.0
"""Middles are few: how much more one counts than an empty patch."""
KINDS = (len(SHAPES), len(COLOURS), len(SIZES), len(FINISHES))
FOUND = 1 + 2 + sum(KINDS)
"""Whether a patch holds a middle, its column and row, and what it shows."""


def places_of(scene: Scene) -> tuple[Tensor, Tensor]:
    """What the patches show, by each solid's disc in the picture.

    Returns [64] float32, 1 where the middle of a solid is, and [64, KINDS] int64, what the nearest
    solid there is, -100 where none is. Row by row.
    """
    line = ((torch.arange(GRID) + 0.5) * 2 / GRID - 1).tolist()
    middles = torch.zeros(PATCHES)
    shown = torch.full((PATCHES, len(KINDS)), IGNORE)
    projected = [(*scene.camera.project(solid.centre), solid) for solid in scene.solids]
    for x, y, depth, solid in sorted(projected, key=lambda each: -each[2]):
        reach = INNER * solid.radius / (depth * scene.camera.tan_half)
        column, row = (min(GRID - 1, max(0, int((v + 1) * GRID / 2))) for v in (x, y))
        inside = [
            r * GRID + c
            for r in range(GRID)
            for c in range(GRID)
            if (line[c] - x) ** 2 + (line[r] - y) ** 2 < reach**2
        ]
        middles[row * GRID + column] = 1.0
        kinds = (SHAPES.index(solid.shape), COLOURS.index(solid.colour))
        looks = (SIZES.index(solid.size), FINISHES.index(solid.finish))
        shown[[row * GRID + column, *inside]] = torch.tensor((*kinds, *looks))
    return middles, shown


def finding_loss(found: Tensor, places: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """How wrongly `found` [B, 64, FOUND] tells middles, what is shown and where each patch lies.

    Without the last, nothing tells the language model left from right but the order of tokens.
    See `places_of`.
    """
    middles, shown = (torch.stack(plane) for plane in zip(*places, strict=True))
    heavier = torch.tensor(MIDDLE_WEIGHT)
    there = F.binary_cross_entropy_with_logits(found[..., 0], middles, pos_weight=heavier)
    line = torch.linspace(-1, 1, GRID)
    lie = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).flatten(0, 1)
    misplaced = F.mse_loss(found[..., 1:3], lie.expand(len(found), -1, -1))
    parts = found[..., 3:].split(KINDS, dim=-1)
    named = [
        F.cross_entropy(part.flatten(0, 1), shown[..., kind].flatten(), ignore_index=IGNORE)
        for kind, part in enumerate(parts)
    ]
    return there + misplaced + torch.stack(named).sum()
