"""Large pictures and small ones of the same thing, at any scale."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from imgtool.api import BadParams
from imgtool_tabletop.views.degrade import PRESETS, degrade, draw, sharpened
from imgtool_tabletop.views.kernels import blur, gaussian
from imgtool_tabletop.views.leaves import Leaves
from imgtool_tabletop.views.params import LeavesParams, ScalesParams, SceneParams, TexturesParams
from imgtool_tabletop.views.resize import resize
from imgtool_tabletop.views.scenes import Pairs
from imgtool_tabletop.views.textures import Textures
from imgtool_tabletop.views.view import Example, Kind, Layer, View, generator_of, quantised

if TYPE_CHECKING:
    import random

    from torch import Tensor


class Scales(View[ScalesParams]):
    """Pairs for super-resolution, and at scale 1 for restoration."""

    name = "scales"
    layers: ClassVar = (
        Layer("large", Kind.PICTURE, "[3, H, W]"),
        Layer("small", Kind.PICTURE, "[3, h, w], h = H / scale to the nearest whole number"),
        Layer("scale", Kind.NUMBERS, "[], as drawn; H / h differs by the rounding"),
    )

    def __init__(self, params: ScalesParams) -> None:
        """Raises BadParams where `high` is below `low`."""
        if params.high < params.low:
            raise BadParams(
                f"high {params.high} is below low {params.low}", "Give both, or neither"
            )
        super().__init__(params)
        self.source = _source(params)

    def example(self, index: int) -> Example:
        """Picture `index` of the source, and what its record says became of it."""
        rng, params = self.rng(index), self.params
        source = self.source.example(index)
        large = source.values["image"] / 255.0  # type: ignore[operator]
        if params.sharpen:
            large = quantised(sharpened(large)) / 255.0
        scale = rng.uniform(params.low, params.high)
        side = max(1, math.floor(params.size / scale + 0.5))
        record: dict[str, Any] = {"source": params.source, "kind": params.degradation}
        if params.softness:
            record["softness"] = rng.uniform(0.0, params.softness)
            large = softened(large, record["softness"])
        if params.grain:
            record["grain"] = rng.uniform(0.0, params.grain)
            large = grainy(large, record["grain"], rng)
        if params.degradation in PRESETS:
            record |= draw(PRESETS[params.degradation], rng)
            small = degrade(large, side, side, record)
        else:
            small = quantised(resize(large, side, side, params.degradation))
        values: dict[str, Tensor | str] = {
            "large": quantised(large),
            "small": small,
            "scale": torch.tensor(scale),
        }
        return Example(index, values, {"degradation": record, "source": dict(source.record)})


def softened(picture: Tensor, deviation: float) -> Tensor:
    """[3, H, W] in 0..1 of the same, as a lens or a demosaicer leaves it."""
    wide = max(deviation, 0.1)  # a tenth of a pixel blurs nothing
    kernel = gaussian(2 * math.ceil(3 * wide) + 1, wide, wide, 0.0)
    return quantised(blur(picture, kernel)) / 255.0


def grainy(picture: Tensor, level: float, rng: random.Random) -> Tensor:
    """[3, H, W] in 0..1 of the same: normal noise of `level` / 255, of one colour or of all."""
    generator = generator_of(rng)
    noise = torch.randn(rng.choice((1, 3)), *picture.shape[1:], generator=generator)
    return quantised(picture + noise * (level / 255.0)) / 255.0


def _source(params: ScalesParams) -> View[Any]:
    count, size, seed = params.count, params.size, params.seed
    if params.source == "leaves":
        return Leaves(LeavesParams(count, size, seed))
    if params.source == "textures":
        return Textures(TexturesParams(count, size, seed))
    return Pairs(SceneParams(count, size, seed, params.held_out))
