"""Plain random pictures: noise of a chosen spectrum, gradients, gratings and shapes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from imgtool_tabletop.views.params import TexturesParams
from imgtool_tabletop.views.spectra import power_noise
from imgtool_tabletop.views.view import Example, Kind, Layer, View, generator_of, quantised

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = 2
"""Points on each side of a pixel that are averaged."""
SHAPES_AT_MOST = 12


class Textures(View[TexturesParams]):
    """Pictures of which the spectrum or the form is known."""

    name = "textures"
    layers: ClassVar = (Layer("image", Kind.PICTURE, "[3, H, W]"),)

    def example(self, index: int) -> Example:
        """Texture `index`."""
        rng, params = self.rng(index), self.params
        kind = rng.choice(KINDS) if params.kind == "any" else params.kind
        generator = generator_of(rng)
        if kind == "noise":
            picture = coloured_noise(params.size, params.slope, generator)
        else:
            large = DRAWN[kind](params.size * SAMPLES, generator)
            picture = torch.nn.functional.avg_pool2d(large, SAMPLES)
        return Example(index, {"image": quantised(picture)}, {"kind": kind})


def coloured_noise(size: int, slope: float, generator: torch.Generator) -> Tensor:
    """[3, size, size] noise of power 1/f^slope around a colour; mostly one for all channels."""
    noise = power_noise(size, slope, generator, 4)
    spread = 0.06 + 0.14 * torch.rand((), generator=generator)
    middle = 0.25 + 0.5 * torch.rand(3, 1, 1, generator=generator)
    return middle + spread * (0.9 * noise[:1] + 0.4 * noise[1:])


def gradient(size: int, generator: torch.Generator) -> Tensor:
    """[3, size, size] from one colour to another, along a line or away from a point."""
    x, y, draw = *_plane(size), torch.rand(4, generator=generator)
    along = _turned(x, y, float(draw[0]) * 2 * math.pi)
    away = torch.hypot(x - 2 * draw[1] + 1, y - 2 * draw[2] + 1)
    return _between((along + 1.5) / 3 if draw[3] < 0.5 else away / 3, generator)


def grating(size: int, generator: torch.Generator) -> Tensor:
    """[3, size, size] stripes of any direction, 1.5 to size / 8 periods a picture, soft or hard."""
    x, y, draw = *_plane(size), torch.rand(4, generator=generator)
    most = max(2.0, size / (4.0 * 2 * SAMPLES))
    periods = 1.5 * (most / 1.5) ** float(draw[1])
    wave = torch.sin(math.pi * periods * _turned(x, y, float(draw[0]) * math.pi) + 6.3 * draw[2])
    hardness = 1.0 if draw[3] < 0.5 else 20.0
    return _between(0.5 + 0.5 * torch.tanh(hardness * wave) / math.tanh(hardness), generator)


def shapes(size: int, generator: torch.Generator) -> Tensor:
    """[3, size, size] discs, rectangles and triangles, each of one colour, on a gradient."""
    picture = gradient(size, generator)
    x, y = _plane(size)
    count = int(torch.randint(3, SHAPES_AT_MOST + 1, (), generator=generator))
    for draw in torch.rand(count, 9, generator=generator):
        angle, reach = float(draw[0]) * 2 * math.pi, 0.08 + 0.5 * float(draw[1])
        dx, dy = x - 2 * draw[2] + 1, y - 2 * draw[3] + 1
        u, v = _turned(dx, dy, angle), _turned(dx, dy, angle + math.pi / 2)
        inside = _inside(int(draw[4] * 3), u / reach, v / (reach * (0.3 + 0.7 * draw[5])))
        picture = torch.where(inside, draw[6:9, None, None], picture)
    return picture


def _inside(kind: int, u: Tensor, v: Tensor) -> Tensor:
    if kind == 0:
        return u.square() + v.square() <= 1
    if kind == 1:
        return u.abs().maximum(v.abs()) <= 1
    return (v >= -1) & (v <= 1 - 2 * u.abs())


def _plane(size: int) -> tuple[Tensor, Tensor]:
    """x and y of points, -1..1 across the picture."""
    line = (torch.arange(size) + 0.5) * (2.0 / size) - 1.0
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x, y


def _turned(x: Tensor, y: Tensor, angle: float) -> Tensor:
    return math.cos(angle) * x + math.sin(angle) * y


def _between(share: Tensor, generator: torch.Generator) -> Tensor:
    ends = torch.rand(2, 3, 1, 1, generator=generator)
    return ends[0] + share.clamp(0, 1) * (ends[1] - ends[0])


DRAWN: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    "gradient": gradient,
    "grating": grating,
    "shapes": shapes,
}
"""Pictures of a size in points; `noise` is made at the size of the picture."""
KINDS = (*DRAWN, "noise")
