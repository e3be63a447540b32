"""How far pruned weights lead from the pictures that the dense ones draw."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from imgtool_prune.calibration import Calibration


def paired_error(dense: Tensor, pruned: Tensor) -> Tensor:
    """Mean squared difference of each sample, relative to the variance of all dense ones; [N].

    0 is the same picture, 2 about that of another prompt and seed.

    Parameters
    ----------
    dense, pruned : final latents [N, ...] of the same prompts from the same noise.
    """
    difference = (pruned - dense).float().square().flatten(1).mean(1)
    return difference / dense.float().var(correction=0)


@dataclass(frozen=True)
class HeldOut:
    """Prompts that nothing was calibrated with.

    Attributes
    ----------
    calibration : draws them; made while the network is dense.
    seed : of the first prompt's noise.
    """

    calibration: Calibration
    prompts: Sequence[str]
    seed: int

    @cached_property
    def dense(self) -> Tensor:
        """Latents of the network as it is when this is first asked for."""
        return self._latents()

    def error(self) -> float:
        """Mean paired error of the network as it is now."""
        return float(paired_error(self.dense, self._latents()).mean())

    def _latents(self) -> Tensor:
        return torch.cat(self.calibration.draw(self.prompts, self.seed))
