"""Losses of the two training stages, and what light blocks are fitted by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from imgtool_sr.pocketsr.annealing import annealed_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from imgtool_sr.pocketsr.model import Restored

EPSILON = 1e-3


def reconstruction(made: Tensor, true: Tensor) -> Tensor:
    """Charbonnier's loss. L1 alone leaves flat pictures at what they were enlarged to."""
    return ((made - true).square() + EPSILON**2).sqrt().mean()


def relative(made: Tensor, wanted: Tensor) -> Tensor:
    """Squared error by the power of what is wanted: scaling both changes nothing."""
    return (made - wanted).square().mean() / wanted.square().mean().clamp_min(1e-12)


def feature_distillation(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Mean over levels of the relative error; levels of both have equal widths."""
    pairs = zip(student, teacher, strict=True)
    return torch.stack([relative(made, wanted) for made, wanted in pairs]).mean()


def distillation(student: Restored, teacher: Restored) -> dict[str, Tensor]:
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
