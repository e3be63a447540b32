"""The network that says where a photographer would focus: a small focus-distance transformer.

After the one of Shrivastava et al. (2025), arXiv 2510.06215, itself a saliency transformer of
picture and depth (Liu et al., 2021, arXiv 2104.12099): an encoder of each, tokens that ask one
another, a token of saliency among them, and a decoder to a map. Convolutions stand for the large
one's encoders.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from imgtool_defocus.auto.config import read_config, write_config

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool_defocus.auto.config import FocusConfig

MOST_LOG_SCALE: Final = 3.0
GROUPS: Final = 4
WEIGHTS: Final = "model.safetensors"


class Looked(NamedTuple):
    """What the network says of pictures.

    Attributes
    ----------
    m : [B, H, W], saliency logits. scale : [B], f_s, by which the depth is to be multiplied.
    """

    m: Tensor
    scale: Tensor


def convolved(taken: int, given: int, stride: int = 1) -> nn.Sequential:
    """A convolution, over groups of channels normalised, and SiLU."""
    return nn.Sequential(
        nn.Conv2d(taken, given, 3, stride, 1), nn.GroupNorm(GROUPS, given), nn.SiLU()
    )


class Encoder(nn.Module):
    """Features at a half, a fourth and an eighth of the size."""

    def __init__(self, taken: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            convolved(before, after, 2) for before, after in pairwise((taken, *widths))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """The finest first."""
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features


class Tokens(nn.Module):
    """Picture asks depth, depth asks picture, and a token of saliency asks both."""

    def __init__(self, config: FocusConfig) -> None:
        super().__init__()
        width, heads = config.widths[-1], config.heads
        count = (config.edge // 8) ** 2
        self.place = nn.Parameter(0.02 * torch.randn(1, count, width))
        self.saliency = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.of_depth = nn.MultiheadAttention(width, heads, batch_first=True)
        self.of_picture = nn.MultiheadAttention(width, heads, batch_first=True)
        self.joined = nn.Linear(2 * width, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True,
                norm_first=True,
            )
            for _ in range(config.layers)
        )  # fmt: skip

    def forward(self, picture: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        """The token of saliency, [B, width], and a map, [B, width, h, w]."""
        p, d = (part.flatten(2).mT + self.place for part in (picture, depth))
        told = p + self.of_depth(p, d, d, need_weights=False)[0]
        asked = d + self.of_picture(d, p, p, need_weights=False)[0]
        x = self.joined(torch.cat((told, asked), -1))
        x = torch.cat((self.saliency.expand(len(x), -1, -1), x), 1)
        for layer in self.layers:
            x = layer(x)
        return x[:, 0], x[:, 1:].mT.reshape(picture.shape)


class FocusNet(nn.Module):
    """Saliency and the scale of depth, of a picture and its depth at any size."""

    def __init__(self, config: FocusConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.widths
        self.picture, self.depth = Encoder(3, config.widths), Encoder(1, config.widths)
        self.tokens = Tokens(config)
        self.rise = nn.ModuleList(
            (
                convolved(coarse + 2 * middle, middle),
                convolved(middle + 2 * fine, fine),
                convolved(fine + 4, fine),
            )
        )
        self.gate = nn.Linear(coarse, fine)
        self.logit = nn.Conv2d(fine, 1, 1)
        # One more number: the median of log depth, which the encoder is not told.
        self.scale = nn.Sequential(nn.Linear(coarse + 1, coarse), nn.SiLU(), nn.Linear(coarse, 1))
        nn.init.zeros_(self.scale[-1].weight)
        nn.init.zeros_(self.scale[-1].bias)

    def forward(self, code: Tensor, depth: Tensor) -> Looked:
        """Where to look, at the size of the picture.

        Parameters
        ----------
        code : [B, 3, H, W], sRGB, 0..1. depth : [B, H, W], metres; no gradient goes into it.
        """
        size = (self.config.edge,) * 2
        log_depth = interpolate(depth.detach().log()[:, None], size, mode="area")
        median = log_depth.flatten(1).median(1).values
        planes = interpolate(code, size, mode="area") - 0.5, log_depth - median[:, None, None, None]
        seen = self.picture(planes[0]), self.depth(planes[1])
        token, x = self.tokens(seen[0][-1], seen[1][-1])
        skips = [torch.cat(pair, 1) for pair in zip(*seen, strict=True)][-2::-1]
        for level, skip in zip(self.rise, (*skips, torch.cat(planes, 1)), strict=True):
            x = level(torch.cat((interpolate(x, scale_factor=2.0), skip), 1))
        asked = (x * self.gate(token)[..., None, None]).mean(1, keepdim=True).sigmoid()
        m = interpolate(self.logit(x * asked), code.shape[-2:], mode="bilinear")[:, 0]
        t = self.scale(torch.cat((token, median[:, None]), 1))[:, 0]
        return Looked(m, t.clamp(-MOST_LOG_SCALE, MOST_LOG_SCALE).exp())


def save_focus(net: FocusNet, folder: Path) -> None:
    """Write weights, half precision, and `config.json`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in net.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    write_config(net.config, folder)


def load_focus(folder: Path) -> FocusNet:
    """The network that `save_focus` wrote, float32, for inference.

    Raises
    ------
    ValueError : the folder holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    net = FocusNet(read_config(folder))
    try:
        net.load_state_dict(load_file(folder / WEIGHTS))
    except (RuntimeError, SafetensorError, OSError) as err:
        raise ValueError(
            f"its weights cannot be read: {str(err).splitlines()[-1].strip()}"
        ) from err
    return net.eval().requires_grad_(False)
