"""LiteED: the encoder and decoder in the autoencoder's place, with skips that the input gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgtool_sr.pocketsr.config import CELL

if TYPE_CHECKING:
    from imgtool_sr.pocketsr.config import PocketConfig

M = TypeVar("M", bound=nn.Module)
CLOSED = -2.0
"""Bias that gates start with: an eighth open."""
DETAIL = 8.0
"""How much stronger than other convolutions those of skips start, since gates let an eighth in."""
TENTHS = 0.1
"""What the decoder's last convolution counts in. What is to be added to a picture is small, and the
first steps of Adam, which are of one size in every weight, would overshoot it."""


def silent(conv: M) -> M:
    """The same convolution, set to give zeros until it has learned."""
    for weights in conv.parameters():
        nn.init.zeros_(weights)
    return conv


def blind_to_flat(conv: nn.Conv2d, cell: int) -> nn.Conv2d:
    """The same convolution, of cells of pixels, set to see no colour but changes of it.

    Even colours are many times as strong as detail, and no part of what is to be added.
    """
    with torch.no_grad():
        taps = conv.weight.unflatten(1, (-1, cell**2))
        conv.weight.copy_(DETAIL * (taps - taps.mean((2, 3, 4), keepdim=True)).flatten(1, 2))
    return conv


class ConvPair(nn.Module):
    """Two 3×3 convolutions around a residual; no norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] of the same."""
        made: Tensor = x + self.conv2(F.silu(self.conv1(x)))
        return made


def _pairs(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ConvPair(channels) for _ in range(count)))


class LiteEncoder(nn.Module):
    """A latent and a rich feature of a picture, an eighth as large; nothing is sampled."""

    def __init__(self, config: PocketConfig) -> None:
        super().__init__()
        width = config.encoder
        self.conv_in = nn.Conv2d(3 * CELL**2, width, 3, padding=1)
        self.pairs = _pairs(width, config.pairs[0])
        self.latent = nn.Conv2d(width, config.latent, 3, padding=1)
        self.rich = nn.Conv2d(width, config.widths[0], 1)

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """[B, latent, h, w] and [B, widths[0], h, w] of [B, 3, 8h, 8w]."""
        x = self.pairs(self.conv_in(F.pixel_unshuffle(u, CELL)))
        return self.latent(x), self.rich(x)


class AdaptiveSkip(nn.Module):
    """Adds detail of the picture to a feature, through a gate a channel that looks at both.

    So clean pictures can pass their detail on, and noise is held back.
    """

    def __init__(self, channels: int, cell: int, window: int) -> None:
        super().__init__()
        self.cell, self.window = cell, window
        self.conv = blind_to_flat(nn.Conv2d(3 * cell**2, channels, 3, padding=1), cell)
        self.mlp = nn.Sequential(
            nn.Conv2d(2 * channels, channels // 2, 1), nn.SiLU(),
            nn.Conv2d(channels // 2, channels, 1),
        )  # fmt: skip
        nn.init.constant_(self.mlp[2].bias, CLOSED)

    def forward(self, d: Tensor, u: Tensor) -> Tensor:
        """[B, C, h, w] of the same, with [B, 3, h·cell, w·cell]."""
        e = self.conv(F.pixel_unshuffle(u, self.cell))
        gate = torch.sigmoid(self.mlp(self._pooled(torch.cat([d, e], dim=1))))
        return d + gate * e

    def _pooled(self, x: Tensor) -> Tensor:
        if not self.window:
            return x.mean((2, 3), keepdim=True)
        return F.avg_pool2d(x, self.window, 1, self.window // 2, count_include_pad=False)


class LiteDecoder(nn.Module):
    """What to add to a picture, from a latent, the UNet's last feature, and the picture."""

    def __init__(self, config: PocketConfig) -> None:
        super().__init__()
        widths = config.decoder
        self.conv_in = nn.Conv2d(config.latent, widths[0], 3, padding=1)
        self.inject = silent(nn.Conv2d(config.widths[0], widths[0], 1))
        self.skips = nn.ModuleList(
            AdaptiveSkip(width, cell, config.gate_window)
            for width, cell in zip(widths, (8, 4, 2), strict=True)
        )
        self.pairs = nn.ModuleList(
            _pairs(width, count) for width, count in zip(widths, config.pairs[1:], strict=True)
        )
        self.rise = nn.ModuleList(
            nn.Conv2d(width, 4 * after, 3, padding=1)
            for width, after in zip(widths, (*widths[1:], 3), strict=True)
        )
        silent(self.rise[-1])

    def forward(self, z0: Tensor, rich: Tensor, u: Tensor) -> Tensor:
        """[B, 3, 8h, 8w] of [B, latent, h, w], [B, widths[0], h, w] and [B, 3, 8h, 8w]."""
        d = self.conv_in(z0) + self.inject(rich)
        for skip, pairs, rise in zip(self.skips, self.pairs, self.rise, strict=True):
            d = F.pixel_shuffle(rise(pairs(skip(d, u))), 2)
        return TENTHS * d
