"""The UNet: shapes of Stable Diffusion's without time and prompt, heavy or light in each place."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgtool_sr.pocketsr.blocks import (
    ChannelNorm,
    Downsample,
    FeedForward,
    Heavy,
    ResBlock,
    SelfAttention,
    Upsample,
    norm_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgtool_sr.pocketsr.config import PocketConfig


class Predicted(NamedTuple):
    """What the UNet makes.

    Attributes
    ----------
    eps : [B, latent, h, w], the noise.
    rich : [B, widths[0], h, w], what it is made of.
    features : after each level down, the middle, and each level up.
    """

    eps: Tensor
    rich: Tensor
    features: list[Tensor]


class Transformer(nn.Module):
    """Attention and feed-forward, each around a norm of every pixel's channels."""

    def __init__(self, channels: int, attention: nn.Module, feed_forward: nn.Module) -> None:
        super().__init__()
        self.norm1, self.attention = ChannelNorm(channels), attention
        self.norm2, self.feed_forward = ChannelNorm(channels), feed_forward

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] of the same."""
        x = x + self.attention(self.norm1(x))
        made: Tensor = x + self.feed_forward(self.norm2(x))
        return made


class Level(nn.Module):
    """Residual blocks of one level, a transformer after each where there are any."""

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        transformers: Iterable[nn.Module],
        sampler: nn.Module | None,
    ) -> None:
        super().__init__()
        self.blocks, self.transformers = nn.ModuleList(blocks), nn.ModuleList(transformers)
        self.sampler = sampler

    def layer(self, index: int, x: Tensor) -> Tensor:
        """Through block `index` and its transformer."""
        made: Tensor = self.blocks[index](x)
        return self.transformers[index](made) if self.transformers else made


class UNet(nn.Module):
    """Predicts the noise of a latent, with a rich feature injected after the first convolution.

    Attributes
    ----------
    config : shapes. is_light : whether blocks that are not kept are light, or all are heavy.
    """

    def __init__(self, config: PocketConfig, is_light: bool) -> None:
        super().__init__()
        self.config, self.is_light = config, is_light
        widths, last = config.widths, len(config.widths) - 1
        self.conv_in = nn.Conv2d(config.latent, widths[0], 3, padding=1)
        skips = [widths[0]]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        before = widths[0]
        for at, width in enumerate(widths):
            self.down.append(self._level(at, before, [0] * config.layers, Downsample, at < last))
            skips += [width] * (config.layers + (at < last))
            before = width
        self.mid = Level(
            [self._residual(before, before, last) for _ in range(2)],
            [self._transformer(before, config.keeps_attention)], None,
        )  # fmt: skip
        for at in reversed(range(len(widths))):
            joined = [skips.pop() for _ in range(config.layers + 1)]
            self.up.append(self._level(at, before, joined, Upsample, at > 0))
            before = widths[at]
        self.norm_out = norm_of(config.norm, widths[0])
        self.conv_out = nn.Conv2d(widths[0], config.latent, 3, padding=1)

    def _level(
        self,
        at: int,
        before: int,
        joined: list[int],
        sampler: type[Downsample] | type[Upsample],
        has_sampler: bool,
    ) -> Level:
        width = self.config.widths[at]
        entering = [before if index == 0 else width for index in range(len(joined))]
        blocks = [
            self._residual(wide + more, width, at)
            for wide, more in zip(entering, joined, strict=True)
        ]
        attends = self.config.attention[at]
        transformers = [self._transformer(width, False) for _ in blocks] if attends else []
        kept = at < self.config.kept_samplers
        return Level(
            blocks, transformers, self._chosen(sampler(width), kept) if has_sampler else None
        )

    def _residual(self, channels_in: int, channels_out: int, at: int) -> nn.Module:
        block = ResBlock(channels_in, channels_out, self.config.norm)
        return self._chosen(block, at < self.config.kept_residual)

    def _transformer(self, channels: int, keeps_attention: bool) -> Transformer:
        attention = SelfAttention(channels, self.config.head_width)
        return Transformer(
            channels,
            self._chosen(attention, keeps_attention),
            self._chosen(FeedForward(channels), False),
        )

    def _chosen(self, block: Heavy, is_kept: bool) -> nn.Module:
        block.is_kept = is_kept
        return block.light() if self.is_light and not is_kept else block

    def forward(self, z: Tensor, injected: Tensor) -> Predicted:
        """The noise of latents.

        Parameters
        ----------
        z : [B, latent, h, w], both sides multiples of 2 to the number of halvings.
        injected : [B, widths[0], h, w], added after the first convolution.
        """
        x = self.conv_in(z) + injected
        skips, features = [x], []
        for level in self.down:
            assert isinstance(level, Level)
            for index in range(len(level.blocks)):
                x = level.layer(index, x)
                skips.append(x)
            if level.sampler is not None:
                x = level.sampler(x)
                skips.append(x)
            features.append(x)
        x = self.mid.blocks[1](self.mid.layer(0, x))
        features.append(x)
        for level in self.up:
            assert isinstance(level, Level)
            for index in range(len(level.blocks)):
                x = level.layer(index, torch.cat([x, skips.pop()], dim=1))
            if level.sampler is not None:
                x = level.sampler(x)
            features.append(x)
        return Predicted(*self._out(x), features)

    def _out(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The noise in float32, since the one step amplifies what rounding does to it."""
        rich = F.silu(self.norm_out(x))
        weight, bias = self.conv_out.weight, self.conv_out.bias
        assert bias is not None
        return F.conv2d(rich.float(), weight.float(), bias.float(), padding=1), rich
