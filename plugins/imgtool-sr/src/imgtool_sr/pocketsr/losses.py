"""Losses of the two training stages, and what light blocks are fitted by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from imgtool_sr.pocketsr.annealing import annealed_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from imgtool_sr.pocketsr.model import Denoised

FLOOR: Final = (4 / 255) ** 2
"""Squared error of four levels, 36 dB: what is nearer counts less and less. With a floor of one
level, soft pictures that bicubic interpolation restores to 45 dB weigh as much as noisy ones of
25 dB, and hold back whatever might touch them."""


def reconstruction(made: Tensor, true: Tensor) -> Tensor:
    """Mean over pictures [B, C, H, W] of the logarithm of the squared error.

    So each picture counts by its decibels. Busy ones, whose finest detail nothing can restore,
    have a hundred times the error of plain ones, and would drown them in any mean of errors.
    """
    return ((made - true).square().flatten(1).mean(1) + FLOOR).log().mean()


def relative(made: Tensor, wanted: Tensor) -> Tensor:
    """Squared error by the power of what is wanted: scaling both changes nothing."""
    return (made - wanted).square().mean() / wanted.square().mean().clamp_min(1e-12)


def feature_distillation(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Mean over levels of the relative error; levels of both have equal widths."""
    pairs = zip(student, teacher, strict=True)
    return torch.stack([relative(made, wanted) for made, wanted in pairs]).mean()


def distillation(student: Denoised, teacher: Denoised) -> dict[str, Tensor]:
    """Errors of features and of z0 (L1)."""
    return {
        "features": feature_distillation(student.features, teacher.features),
        "latent": (student.z0 - teacher.z0).abs().mean(),
    }


class LocalFit:
    """Relative errors of light blocks on what their heavy ones take, while those run alone."""

    def __init__(self, net: nn.Module) -> None:
        self.errors: list[Tensor] = []
        self._hooks = [
            block.heavy.register_forward_hook(self._compare(block.light))
            for _, block in annealed_blocks(net)
        ]

    def _compare(self, light: nn.Module) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(heavy: nn.Module, taken: tuple[Tensor], given: Tensor) -> None:
            with torch.enable_grad():
                self.errors.append(relative(light(taken[0].detach()), given.detach()))

        return hook

    def taken(self) -> Tensor:
        """Mean of the errors since the last call."""
        mean = torch.stack(self.errors).mean()
        self.errors.clear()
        return mean

    def close(self) -> None:
        """Look no longer."""
        for hook in self._hooks:
            hook.remove()
