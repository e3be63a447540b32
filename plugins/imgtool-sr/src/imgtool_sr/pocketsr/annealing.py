"""Online annealing pruning: heavy blocks give way to light ones while the net trains.

y = lam·H(x) + (1 - lam)·L(x), with H the heavy block and L the light one; lam falls from 1 to 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import torch
from torch import Tensor, nn

from imgtool_sr.pocketsr.blocks import Heavy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Shape: TypeAlias = Literal["linear", "cosine", "step"]
STARTS: Final = {"feed-forward": 0.0, "attention": 0.2, "residual": 0.4}
"""When each group begins to give way, as a share of the steps that annealing takes."""
WINDOW: Final = 0.6
"""How long it takes, likewise."""


class Annealed(nn.Module):
    """A heavy block, frozen, and the light one that takes its place.

    Attributes
    ----------
    lam : the heavy one's share. At 1 the light one is not run, at 0 the heavy one is not.
    """

    def __init__(self, heavy: Heavy) -> None:
        super().__init__()
        self.heavy, self.light = heavy.requires_grad_(False), heavy.light()
        self.group, self.lam = heavy.group, 1.0

    def forward(self, x: Tensor) -> Tensor:
        """What the heavy block's shape says."""
        if self.lam == 1.0:
            made: Tensor = self.heavy(x)
        elif self.lam == 0.0:
            made = self.light(x)
        else:
            made = torch.lerp(self.light(x), self.heavy(x), self.lam)
        return made


def lam_at(progress: float, shape: Shape = "linear") -> float:
    """The share at a progress of its window, 0 to 1; before and after it 1 and 0."""
    if progress <= 0.0 or progress >= 1.0:
        return 1.0 if progress <= 0.0 else 0.0
    if shape == "step":
        return 1.0 if progress < 0.5 else 0.0
    return 1.0 - progress if shape == "linear" else 0.5 + 0.5 * math.cos(math.pi * progress)


def set_lam(net: nn.Module, step: int, steps: int, shape: Shape = "linear") -> None:
    """Give every block its share at a step of `steps`: the same however often a run was stopped."""
    for _, block in annealed_blocks(net):
        block.lam = lam_at((step / steps - STARTS[block.group]) / WINDOW, shape)


def anneal(net: nn.Module) -> None:
    """Put an `Annealed` in the place of every heavy block that is not kept."""
    _replace(net, lambda m: Annealed(m) if isinstance(m, Heavy) and not m.is_kept else None)


def prune(net: nn.Module) -> None:
    """Leave the light blocks alone in their places; nothing heavy is left but what is kept."""
    _replace(net, lambda m: m.light if isinstance(m, Annealed) else None)


def annealed_blocks(net: nn.Module) -> Iterator[tuple[str, Annealed]]:
    """Blocks on their way, by name."""
    for name, module in net.named_modules():
        if isinstance(module, Annealed):
            yield name, module


def _replace(net: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]) -> None:
    for name, child in list(net.named_children()):
        made = replacement(child)
        if made is None:
            _replace(child, replacement)
        else:
            setattr(net, name, made)
