"""What training judges pictures by: a critic, and nets that remove noise. None is kept.

x  code values, 0..1;  k  logarithm of the lens's strength K, which says aperture and focal length
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle, silu

if TYPE_CHECKING:
    from collections.abc import Callable

FOLD: Final = 2
PLANES: Final = 3 * FOLD**2
SIGMA_DATA: Final = 0.25
"""Spread of code values."""
SIGMAS: Final = (0.02, 0.7)
"""Least and most noise."""
TOLD: Final = 32
GROUPS: Final = 8


class Told(nn.Module):
    """A convolution whose channels are scaled and shifted by what it is told."""

    def __init__(self, taken: int, given: int, stride: int = 1, groups: int = GROUPS) -> None:
        super().__init__()
        self.conv = nn.Conv2d(taken, given, 3, stride, 1)
        self.norm = nn.GroupNorm(groups, given) if groups else nn.Identity()
        self.film = nn.Linear(TOLD, 2 * given)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """[B, given, ·, ·] of x and [B, TOLD]."""
        scale, shift = self.film(told)[..., None, None].chunk(2, 1)
        return silu(self.norm(self.conv(x)) * (1.0 + scale) + shift)


def teller(taken: int) -> nn.Sequential:
    """Numbers as a vector for `Told`."""
    return nn.Sequential(nn.Linear(taken, TOLD), nn.SiLU(), nn.Linear(TOLD, TOLD), nn.SiLU())


class Critic(nn.Module):
    """How much a picture looks like a photograph through a lens of strength K.

    No norm: how strong differences are is how blurred a picture is.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.told = teller(1)
        self.levels = nn.ModuleList(
            (
                Told(PLANES, width, 1, 0),
                Told(width, 2 * width, 2, 0),
                Told(2 * width, 2 * width, 2, 0),
            )
        )
        self.score = nn.Conv2d(2 * width, 1, 1)

    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        """[B, P] logits, one a patch, of [B, 3, H, W] and [B]."""
        told = self.told(k[:, None])
        h = pixel_unshuffle((x - 0.5) / SIGMA_DATA, FOLD)
        for level in self.levels:
            h = level(h, told)
        return self.score(h).flatten(1)


class Denoiser(nn.Module):
    """E[x | x + sigma n, K], preconditioned as by Karras et al. (2022), arXiv 2206.00364."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.told = teller(2)
        self.fine = Told(PLANES, width)
        self.coarse = nn.ModuleList((Told(width, 2 * width, 2), Told(2 * width, 2 * width)))
        self.joined = Told(3 * width, width)
        self.out = nn.Conv2d(width, PLANES, 3, 1, 1)

    def forward(self, noised: Tensor, sigma: Tensor, k: Tensor) -> Tensor:
        """[B, 3, H, W] of [B, 3, H, W], [B] and [B]."""
        s = sigma[:, None, None, None]
        spread = (s.square() + SIGMA_DATA**2).sqrt()
        told = self.told(torch.stack((sigma.log(), k), 1))
        fine = self.fine(pixel_unshuffle((noised - 0.5) / spread, FOLD), told)
        h = fine
        for level in self.coarse:
            h = level(h, told)
        h = self.joined(torch.cat((interpolate(h, scale_factor=2.0), fine), 1), told)
        made = pixel_shuffle(self.out(h), FOLD)
        c_skip, c_out = SIGMA_DATA**2 / spread.square(), s * SIGMA_DATA / spread
        return 0.5 + c_skip * (noised - 0.5) + c_out * made


def frozen(net: nn.Module) -> Callable[..., Tensor]:
    """The net as a function that gradients go through, and not into."""
    weights = {name: weight.detach() for name, weight in net.named_parameters()}
    return lambda *given: torch.func.functional_call(net, weights, given)
