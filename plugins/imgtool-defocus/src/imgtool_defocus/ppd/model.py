"""Pictures to depth: prompts, noise, and a few steps of the flow. Backend `ppd`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import torch
from torch.nn.functional import interpolate

from imgtool.api import BadParams, ModelUnusable
from imgtool_defocus.depth import LOGDEPTH
from imgtool_defocus.estimate import Estimate, Options
from imgtool_defocus.ppd.checkpoint import load_ppd
from imgtool_defocus.ppd.flow import MIDDLE, sampled
from imgtool_defocus.ppd.semantics import FOLDER, Prompts, fingerprint, load_prompts

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from imgtool_defocus.ppd.net import CascadeTransformer

STEPS: Final = 4
HINT: Final = "imgtool train depth.ppd -o FOLDER makes one"


def load(folder: Path, options: Options, device: torch.device, dtype: torch.dtype) -> PixelPerfect:
    """The model in a folder, with the encoder of its prompts in `semantics/` there.

    Raises
    ------
    ModelUnusable : there is none, or its encoder is missing or another.
    BadParams : an ensemble, or steps of a regression.
    """
    if options.ensemble > 1:
        raise BadParams("Pixel-Perfect Depth has no ensembles", "Leave --ensemble out")
    try:
        net = load_ppd(folder)
    except (ValueError, OSError) as err:
        raise ModelUnusable(f"{str(folder)!r} holds no Pixel-Perfect Depth: {err}", HINT) from None
    if options.steps and net.config.objective == "regression":
        raise BadParams(f"{str(folder)!r} is a regression, of one step", "Leave --steps out")
    if not (folder / FOLDER).is_dir():
        raise ModelUnusable(
            f"{str(folder)!r} has no {FOLDER}/, the encoder of its prompts",
            "Put the encoder there that it was trained with, as transformers saves it",
        )
    prompts = load_prompts(folder / FOLDER, device, dtype)
    if prompts.channels != net.config.semantics:
        raise ModelUnusable(
            f"{str(folder / FOLDER)!r} gives prompts of {prompts.channels} numbers, and the model "
            f"takes {net.config.semantics}",
            "Put the encoder there that it was trained with",
        )
    if net.config.encoder and net.config.encoder != fingerprint(folder / FOLDER):
        raise ModelUnusable(
            f"{str(folder / FOLDER)!r} is not the encoder that the model was trained with",
            "Put that one there; prompts of another mean nothing to it",
        )
    return PixelPerfect(net.to(device, dtype), prompts, options)


@dataclass
class PixelPerfect:
    """The net, its prompts, and what a user set."""

    net: CascadeTransformer
    prompts: Prompts
    options: Options = field(default_factory=Options)
    kind = LOGDEPTH

    @property
    def name(self) -> str:
        """The class of the net."""
        return type(self.net).__name__

    def __call__(self, image: np.ndarray, generator: torch.Generator) -> Estimate:
        """Depth up to scale and shift in log(1 + z)."""
        picture = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255.0
        height, width = self.size_for(*image.shape[:2])
        noise = torch.randn(1, 1, height, width, generator=generator)
        device = next(self.net.parameters()).device
        depth = self.depth(resized(picture, height, width).to(device), noise.to(device))
        return Estimate(depth[0].float(), facts={"steps": self.steps})

    @property
    def steps(self) -> int:
        """Of the flow."""
        return 1 if self.net.config.objective == "regression" else self.options.steps or STEPS

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """Sides, multiples of a patch, at which a picture is looked at: the net's own area."""
        patch, longest = self.net.config.patch, self.options.size
        scale = (self.net.config.area / (height * width)) ** 0.5
        if longest:
            scale = longest / max(height, width)
        first, second = (max(1, round(side * scale / patch)) * patch for side in (height, width))
        return first, second

    @torch.no_grad()
    def depth(self, pictures: Tensor, noise: Tensor) -> Tensor:
        """[B, H, W], mostly 0 to 1, of [B, 3, H, W] in 0..1 and [B, 1, H, W]."""
        patch, net = self.net.config.patch, self.net
        dtype = net.x_embedder.proj.weight.dtype
        rows, columns = (side // patch for side in pictures.shape[2:])
        e = self.prompts(pictures, rows, columns)
        c = pictures - MIDDLE

        def velocity(xt: Tensor, t: Tensor) -> Tensor:
            made: Tensor = net(torch.cat((xt, c), dim=1).to(dtype), t, e)
            return made

        start = noise if net.config.objective == "flow" else torch.zeros_like(noise)
        return sampled(velocity, start, self.steps)[:, 0] + MIDDLE


def resized(pictures: Tensor, height: int, width: int) -> Tensor:
    """[B, 3, height, width]: means of areas where that is smaller, else bicubic."""
    if height * width < pictures.shape[2] * pictures.shape[3]:
        return interpolate(pictures, size=(height, width), mode="area")
    return interpolate(pictures, size=(height, width), mode="bicubic").clamp(0.0, 1.0)
