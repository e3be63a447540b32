"""How wrong a velocity is, and the depth that it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgtool_defocus.ppd.flow import depth_of

if TYPE_CHECKING:
    from torch import Tensor

SCALES: Final = 4


def velocity_error(v: Tensor, x0: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of a velocity, all [B, 1, H, W]."""
    return (v - (noise - x0)).square().mean()


def gradient_error(v: Tensor, xt: Tensor, t: Tensor, x0: Tensor) -> Tensor:
    """Mean error of differences between neighbours in the depth that `v` says, over `SCALES`."""
    wrong = depth_of(xt, v, t) - x0
    total = wrong.new_zeros(())
    for scale in range(SCALES):
        coarse = wrong[..., :: 2**scale, :: 2**scale]
        total = total + coarse.diff(dim=-1).abs().mean() + coarse.diff(dim=-2).abs().mean()
    return total / SCALES
