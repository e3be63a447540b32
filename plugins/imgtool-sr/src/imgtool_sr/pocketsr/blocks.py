"""Blocks of the UNet: those of Stable Diffusion, and the light ones that take their places.

Heavy blocks have the shapes of diffusers' blocks, time and prompt folded away. C: channels.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal, TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

Norm: TypeAlias = Literal["group", "pixel"]
GROUPS = 32


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel of [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        made: Tensor = self.norm(x.movedim(1, -1))
        return made.movedim(-1, 1)


def norm_of(kind: Norm, channels: int) -> nn.Module:
    """The norm of a residual block."""
    return ChannelNorm(channels) if kind == "pixel" else nn.GroupNorm(GROUPS, channels)


def separable(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """A 3×3 convolution a channel, and a 1×1 over channels."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_in, 3, stride, 1, groups=channels_in),
        nn.Conv2d(channels_in, channels_out, 1),
    )


class Heavy(nn.Module):
    """A block that a light one may take the place of.

    Attributes
    ----------
    group : blocks of one group give way at the same time.
    is_kept : whether it stays.
    """

    group: ClassVar[str]
    is_kept: bool = False

    @abstractmethod
    def light(self) -> nn.Module:
        """A new light block for the same inputs and outputs."""


class _Residual(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, norm: Norm) -> None:
        super().__init__()
        self.norm1 = norm_of(norm, channels_in)
        self.norm2 = norm_of(norm, channels_out)
        self.conv1, self.conv2 = self._convs(channels_in, channels_out)
        is_same = channels_in == channels_out
        self.shortcut = nn.Identity() if is_same else nn.Conv2d(channels_in, channels_out, 1)

    @abstractmethod
    def _convs(self, channels_in: int, channels_out: int) -> tuple[nn.Module, nn.Module]:
        """Both convolutions."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C_out, H, W] of [B, C_in, H, W]."""
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        made: Tensor = self.shortcut(x) + y
        return made


class LightResBlock(_Residual):
    """A residual block of separable convolutions: about 2C² weights."""

    def _convs(self, channels_in: int, channels_out: int) -> tuple[nn.Module, nn.Module]:
        return separable(channels_in, channels_out), separable(channels_out, channels_out)


class ResBlock(_Residual, Heavy):
    """A residual block of 3×3 convolutions: 18C² weights."""

    group = "residual"

    def __init__(self, channels_in: int, channels_out: int, norm: Norm) -> None:
        super().__init__(channels_in, channels_out, norm)
        self.shape = (channels_in, channels_out, norm)

    def _convs(self, channels_in: int, channels_out: int) -> tuple[nn.Module, nn.Module]:
        return (
            nn.Conv2d(channels_in, channels_out, 3, padding=1),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
        )

    def light(self) -> nn.Module:
        """A `LightResBlock`."""
        return LightResBlock(*self.shape)


class SelfAttention(Heavy):
    """Attention of every pixel to all: 4C² weights."""

    group = "attention"

    def __init__(self, channels: int, head_width: int) -> None:
        super().__init__()
        self.channels, self.heads = channels, channels // head_width
        self.to_q, self.to_k, self.to_v = (
            nn.Linear(channels, channels, bias=False) for _ in range(3)
        )
        self.to_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] of the same."""
        tokens = x.flatten(2).mT
        q, k, v = (
            part(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.to_q, self.to_k, self.to_v)
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        made: Tensor = self.to_out(mixed).mT.unflatten(-1, x.shape[2:])
        return made

    def light(self) -> nn.Module:
        """A separable convolution: C² weights."""
        return separable(self.channels, self.channels)


class FeedForward(Heavy):
    """GEGLU (Shazeer 2020) four times as wide: 12C² weights."""

    group = "feed-forward"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.proj = nn.Conv2d(channels, 8 * channels, 1)
        self.out = nn.Conv2d(4 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] of the same."""
        hidden, gate = self.proj(x).chunk(2, dim=1)
        made: Tensor = self.out(hidden * F.gelu(gate))
        return made

    def light(self) -> nn.Module:
        """Two 1×1 convolutions: 2C² weights."""
        c = self.channels
        return nn.Sequential(nn.Conv2d(c, c, 1), nn.SiLU(), nn.Conv2d(c, c, 1))


class Downsample(Heavy):
    """Half the size: 9C² weights."""

    group = "residual"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H/2, W/2]."""
        made: Tensor = self.conv(x)
        return made

    def light(self) -> nn.Module:
        """A separable convolution: C² weights."""
        return separable(self.conv.in_channels, self.conv.in_channels, 2)


class Upsample(Heavy):
    """Twice the size, by nearest neighbours and a convolution: 9C² weights."""

    group = "residual"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, 2H, 2W]."""
        made: Tensor = self.conv(F.interpolate(x, scale_factor=2.0))
        return made

    def light(self) -> nn.Module:
        """Nearest neighbours and a separable convolution: C² weights."""
        channels = self.conv.in_channels
        return nn.Sequential(nn.UpsamplingNearest2d(scale_factor=2), separable(channels, channels))
