"""How near pictures come to what they should be, in decibels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imgtool_sr.pocketsr.model import PocketSR


def psnr(made: Tensor, true: Tensor) -> Tensor:
    """[B] decibels of [B, 3, H, W] in 0..1, of all channels; at most 100."""
    error = (made.clamp(0, 1) - true).square().flatten(1).mean(1)
    return -10.0 * error.clamp_min(1e-10).log10()


@torch.no_grad()
def gains(model: PocketSR, sets: Mapping[str, Iterable[tuple[Tensor, Tensor]]]) -> dict[str, float]:
    """For each set of pairs [3, H, W], enlarged and true: PSNR of the first, and what is gained."""
    device = next(model.parameters()).device
    found: dict[str, float] = {}
    for name, pairs in sets.items():
        wide, true = (torch.stack(part).to(device) for part in zip(*pairs, strict=True))
        made = torch.cat([model(part) for part in wide.split(4)])
        before = psnr(wide, true)
        found[f"bicubic_{name}"] = float(before.mean())
        found[f"gain_{name}"] = float((psnr(made, true) - before).mean())
    return found
