"""Dead leaves: opaque textured shapes of all sizes, fallen over one another until all is covered.

Matheron (1968); Lee, Mumford & Huang (2001), International Journal of Computer Vision 41. Radii
with density r^-3 make pictures that look the same at every scale, as photographs do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from imgtool_tabletop.views.params import LeavesParams
from imgtool_tabletop.views.spectra import power_noise
from imgtool_tabletop.views.view import Example, Kind, Layer, View, generator_of, quantised

SAMPLES: Final = 2
"""Points on each side of a pixel that are averaged."""
SMALLEST: Final = 2.0
"""Least radius, in points: one pixel."""
LARGEST: Final = 1.0
"""Greatest radius, in sides of the picture."""
BLOCK: Final = 1 << 15
"""Radii drawn at once; most belong to small leaves that fall beside the picture."""
FORMS: Final = ("ellipse", "diamond", "rectangle")
REACH: Final = (1.0, 1.0, math.sqrt(2.0))
"""How far each form reaches from its middle, in radii."""
POINTS_AT_ONCE: Final = 1 << 20
HUES: Final = 5
PLANES: Final = 4


@dataclass(frozen=True)
class Fallen:
    """Leaves in the order in which they lie, the topmost first; lengths in points.

    x, y, radius, reach, turn, aspect : [N] float32. form : [N] int64, index in `FORMS`. Half axes
    are `radius` and `radius * aspect`; nothing of a leaf is farther than `reach` from its middle.
    """

    x: Tensor
    y: Tensor
    radius: Tensor
    reach: Tensor
    turn: Tensor
    aspect: Tensor
    form: Tensor


class Leaves(View[LeavesParams]):
    """Pictures for restoration nets that should do well on photographs."""

    name = "leaves"
    layers: ClassVar = (Layer("image", Kind.PICTURE, "[3, H, W]"),)

    def example(self, index: int) -> Example:
        """Leaves `index`."""
        params = self.params
        generator = generator_of(self.rng(index))
        side = params.size * SAMPLES
        top, fallen = cover(side, params.exponent, params.shape == "mixed", generator)
        colour = paint(top, fallen, params.texture, generator)
        picture = torch.nn.functional.avg_pool2d(colour, SAMPLES)
        return Example(index, {"image": quantised(picture)}, {"leaves": len(top.unique())})


def radii(count: int, least: float, most: float, exponent: float, g: torch.Generator) -> Tensor:
    """[count] draws from the density r^-exponent between `least` and `most`."""
    power = 1.0 - exponent
    u = torch.rand(count, generator=g, dtype=torch.float64)
    return (least**power + u * (most**power - least**power)).pow(1.0 / power).float()


def cover(
    side: int, exponent: float, mixed: bool, generator: torch.Generator
) -> tuple[Tensor, Fallen]:
    """[side, side] index of the leaf that each point shows, and the leaves.

    They are drawn from the top one down, until no point is bare: an exact draw, with no first
    leaves to throw away (Kendall & Thönnes, 1999).
    """
    top = torch.full((side * side,), -1)
    blocks: list[Fallen] = []
    first = 0
    while (top < 0).any():
        block = _fall(side, exponent, mixed, generator)
        count = len(block.radius)
        shown = _topmost(side, block)
        top = torch.where((top < 0) & (shown < count), shown + first, top)
        blocks.append(block)
        first += count
    joined = {
        name: torch.cat([getattr(block, name) for block in blocks])
        for name in Fallen.__dataclass_fields__
    }
    return top.reshape(side, side), Fallen(**joined)


def _fall(side: int, exponent: float, mixed: bool, g: torch.Generator) -> Fallen:
    """Leaves whose middles are where they can reach the picture.

    Middles are even over a square that is as much wider than the picture as a leaf is long; as many
    leaves are kept of each radius as would fall there of an even rain over the widest square.
    """
    radius = radii(BLOCK, SMALLEST, LARGEST * side, exponent, g)
    form = torch.randint(len(FORMS) if mixed else 1, (BLOCK,), generator=g)
    reach = radius * torch.tensor(REACH)[form]
    widest = side * (1.0 + 2.0 * LARGEST * max(REACH))
    kept = torch.rand(BLOCK, generator=g) < ((side + 2.0 * reach) / widest).square()
    radius, form, reach = radius[kept], form[kept], reach[kept]
    count = len(radius)
    x, y = (torch.rand(2, count, generator=g) - 0.5) * (side + 2.0 * reach) + side / 2.0
    turn = torch.rand(count, generator=g) * math.pi
    aspect = 0.3 + 0.7 * torch.rand(count, generator=g) if mixed else torch.ones(count)
    return Fallen(x, y, radius, reach, turn, aspect, form)


def _topmost(side: int, leaves: Fallen) -> Tensor:
    """[side * side] least index of a leaf on each point; their number where there is none.

    Leaves of like size are laid down together, each over the square that holds it.
    """
    shown = torch.full((side * side,), len(leaves.radius))
    level = (2.0 * leaves.reach.log2()).ceil().long() * len(FORMS) + leaves.form
    for one in level.unique().tolist():
        # Half a step, since a middle is rounded to a point.
        width = 2 * math.ceil(2.0 ** (one // len(FORMS) / 2) + 0.5) + 1
        chosen = (level == one).nonzero()[:, 0]
        for part in chosen.split(max(1, POINTS_AT_ONCE // width**2)):
            _lay(shown, side, width, part, leaves, FORMS[one % len(FORMS)])
    return shown


def _lay(shown: Tensor, side: int, width: int, part: Tensor, leaves: Fallen, form: str) -> None:
    """Lower `shown` to the indices in `part` where their leaves are, in squares of `width`."""
    steps = torch.arange(width) - width // 2
    x = leaves.x[part].round().long()[:, None] + steps
    y = leaves.y[part].round().long()[:, None] + steps
    dx = (x - leaves.x[part, None])[:, None, :]
    dy = (y - leaves.y[part, None])[:, :, None]
    cos, sin = leaves.turn[part, None, None].cos(), leaves.turn[part, None, None].sin()
    radius, aspect = leaves.radius[part, None, None], leaves.aspect[part, None, None]
    inside = _is_in(form, (cos * dx + sin * dy) / radius, (cos * dy - sin * dx) / (radius * aspect))
    inside &= ((x >= 0) & (x < side))[:, None, :] & ((y >= 0) & (y < side))[:, :, None]
    leaf, row, column = inside.nonzero().unbind(-1)
    flat = y[leaf, row] * side + x[leaf, column]
    shown.scatter_reduce_(0, flat, part[leaf], "amin")


def _is_in(form: str, u: Tensor, v: Tensor) -> Tensor:
    if form == "ellipse":
        return u * u + v * v <= 1.0
    if form == "diamond":
        return u.abs() + v.abs() <= 1.0
    return u.abs().maximum(v.abs()) <= 1.0


def paint(top: Tensor, leaves: Fallen, textured: float, generator: torch.Generator) -> Tensor:
    """[3, side, side] colours 0..1: leaves of a few hues, `textured` of them with a texture.

    A texture is noise of power 1/f^2, or a grating; every leaf is shaded a little across.
    """
    side, count = top.shape[-1], len(leaves.radius)
    base = leaf_colours(count, generator)
    style = torch.rand(count, generator=generator)
    is_noisy, is_striped = style < 0.6 * textured, (style >= 0.6 * textured) & (style < textured)
    depth = 0.05 + 0.2 * torch.rand(count, generator=generator)
    angle = 2 * math.pi * torch.rand(count, generator=generator)
    period = leaves.radius * (0.15 + 0.6 * torch.rand(count, generator=generator))
    period = period.clamp_min(3.0 * SAMPLES)
    plane = torch.randint(PLANES, (count,), generator=generator)
    shift = torch.randint(side, (2, count), generator=generator)
    noise = power_noise(side, 2.0, generator, PLANES)
    line = torch.arange(side)
    y, x = torch.meshgrid(line, line, indexing="ij")
    across = (x - leaves.x[top]) * angle.cos()[top] + (y - leaves.y[top]) * angle.sin()[top]
    grain = noise[plane[top], (y + shift[0][top]) % side, (x + shift[1][top]) % side]
    stripes = torch.sin(across * (2 * math.pi / period)[top])
    shade = 0.15 * (across / leaves.radius[top]).clamp(-1, 1)
    shade += (is_noisy[top] * grain + is_striped[top] * stripes) * depth[top]
    return (base[top].permute(2, 0, 1) * (1.0 + shade)).clamp(0, 1)


def leaf_colours(count: int, generator: torch.Generator) -> Tensor:
    """[count, 3] colours 0..1: brightness is even, hues are near one of a few of this picture."""
    brightness = 0.05 + 0.9 * torch.rand(count, 1, generator=generator)
    hues = torch.rand(HUES, 3, generator=generator)
    hue = hues[torch.randint(HUES, (count,), generator=generator)]
    hue = hue + 0.1 * torch.randn(count, 3, generator=generator)
    tint = 0.5 * (hue - hue.mean(-1, keepdim=True))
    return (brightness * (1.0 + tint)).clamp(0, 1)
