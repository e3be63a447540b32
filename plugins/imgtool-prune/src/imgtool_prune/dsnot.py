"""DSnoT (arXiv 2310.08915): swap pruned and kept weights until each row's expected error is small.

c_rj   W_rj s_j, what weight (r, j) contributes to the row's summed output
eps_r  sum of c over the pruned weights of row r
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

CYCLES, THRESHOLD = 50, 0.1


@dataclass(frozen=True)
class Channels:
    """What DSnoT knows of the input, [d] each; see `imgtool_prune.statistics.Moments`."""

    summed: Tensor
    variance: Tensor
    diagonal: Tensor


def refine(
    weight: Tensor,
    mask: Tensor,
    channels: Channels,
    group: int = 0,
    cycles: int = CYCLES,
    threshold: float = THRESHOLD,
    keep_sign: bool = False,
) -> Tensor:
    """`mask` [R, d] after at most `cycles` swaps in each row; no weight changes its value.

    A swap regrows the pruned weight with the largest c/v where eps > 0, the smallest where
    eps < 0, and prunes the kept weight of the lowest Wanda score whose c has the sign opposite to
    eps. A row stops for good when |eps| <= `threshold` or nothing can be swapped.

    Parameters
    ----------
    group : swaps stay inside groups of so many neighbours; 0: anywhere in the row.
    keep_sign : stop a row before the swap that would turn the sign of its eps.
    """
    if not mask.any() or mask.all():
        return mask.clone()
    state = _Swaps(weight, mask, channels, group, keep_sign)
    for _ in range(cycles):
        if not state.swap(threshold):
            break
    return state.mask


class _Swaps:
    def __init__(
        self, weight: Tensor, mask: Tensor, channels: Channels, group: int, keep_sign: bool
    ) -> None:
        self.mask, self.group, self.keep_sign = mask.clone(), group, keep_sign
        self.c = weight * channels.summed
        tiny = torch.finfo(weight.dtype).tiny
        self.per_variance = self.c / channels.variance.clamp_min(tiny)
        self.wanda = weight.abs() * channels.diagonal.sqrt()
        self.eps = (self.c * mask).sum(1)
        self.active = torch.ones_like(self.eps, dtype=torch.bool)

    def swap(self, threshold: float) -> bool:
        """One swap in each row that is still active; whether there was one."""
        sign = self.eps.sign()
        self.active &= self.eps.abs() > threshold
        gain = (self.per_variance * sign[:, None]).masked_fill(~self.mask, -torch.inf)
        regrown = gain.argmax(1, keepdim=True)
        candidates = ~self.mask & (self.c.sign() == -sign[:, None])
        if self.group:
            columns = torch.arange(self.mask.shape[1], device=self.mask.device)
            candidates &= columns // self.group == regrown // self.group
        pruned = self.wanda.masked_fill(~candidates, torch.inf).argmin(1, keepdim=True)
        after = self.eps - self.c.gather(1, regrown)[:, 0] + self.c.gather(1, pruned)[:, 0]
        self.active &= candidates.any(1) & self.mask.any(1)
        if self.keep_sign:
            self.active &= after.sign() == sign
        rows = self.active.nonzero()[:, 0]
        self.mask[rows, regrown[rows, 0]] = False
        self.mask[rows, pruned[rows, 0]] = True
        self.eps[rows] = after[rows]
        return bool(len(rows))
