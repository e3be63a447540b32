"""Optimal Brain Surgeon, column by column: prune and repair what stays (SparseGPT, OBS-Diff).

    W     [R, d]  weight; the rows of all layers that share an input are solved together
    U     [d, d]  upper factor of the inverse Hessian, see `imgtool_prune.factor`
    e_j   [R]     w_j / U_jj where pruned, else 0

Pruning w_q costs w_q^2 / (2 [H^-1]_qq), and -w_q / [H^-1]_qq H^-1[:, q] makes up for it (Hassibi
and Stork 1992; OBS-Diff, arXiv 2510.06751, eq. 2). With the columns before j frozen, [H^-1]_jj is
U_jj^2 and the repair is -e_j U[j, j:] (SparseGPT, arXiv 2301.00774).

The plain loop takes e_j U[j, j:] off all later columns, one column after another. Here a column is
brought up to date only when its turn comes, by one product with the errors before it, in two
levels of blocks; the weight lies transposed so that a column is one run of memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from imgtool_prune.statistics import exact_products

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from imgtool_prune.patterns import Pattern

BLOCK, INNER = 128, 16


@dataclass(frozen=True)
class Pruned:
    """One pruned layer.

    Attributes
    ----------
    weight : [R, d] in the precision of the factor; zero where pruned and in dead channels.
    mask : [R, d] bool, true where pruned.
    damped_error : 1/2 tr(dW H~ dW^T), dead channels apart.
    """

    weight: Tensor
    mask: Tensor
    damped_error: float


def prune_columns(
    weights: Sequence[Tensor],
    upper: Tensor,
    dead: Tensor,
    patterns: Sequence[Pattern],
    block: int = BLOCK,
) -> list[Pruned]:
    """Prune layers that share an input, each by its own pattern and thresholds.

    Scores are w^2 / U_jj^2 of weights as repaired so far. Repair flows to the right only: kept
    weights left of a pruned one never move.

    Parameters
    ----------
    weights : [R_i, d] each.
    upper, dead : of the damped Hessian of the common input.
    patterns : one a weight, all with the same group.
    block : columns whose mask is decided together.

    Raises
    ------
    ValueError : a pattern does not fit its weight, or the block.
    """
    group = _common_group(weights, patterns, block)
    work = torch.cat([weight.to(upper) for weight in weights]).T.contiguous()
    work[dead] = 0
    sizes = [len(weight) for weight in weights]

    def choose(now: Tensor, begin: int, mask: Tensor) -> None:
        columns = slice(begin, begin + len(now))
        scores = (now / upper.diagonal()[columns, None]).square_().T
        parts = zip(scores.split(sizes), mask.split(sizes, 1), patterns, strict=True)
        for part, chosen, pattern in parts:
            chosen.copy_(pattern.choose(part, dead[columns], begin).T)

    with exact_products():
        errors, mask = _solve(work, upper, choose, block, group)
    spent = errors.square_().sum(0) / 2
    return [
        Pruned(weight.T.contiguous(), pruned.T.contiguous(), float(cost.sum()))
        for weight, pruned, cost in zip(
            work.split(sizes, 1), mask.split(sizes, 1), spent.split(sizes), strict=True
        )
    ]


def _common_group(weights: Sequence[Tensor], patterns: Sequence[Pattern], block: int) -> int:
    for weight, pattern in zip(weights, patterns, strict=True):
        pattern.check(*weight.shape)
    (group, *others) = {pattern.group for pattern in patterns}
    if others:
        raise ValueError("layers of one input have patterns of different groups")
    if group and block % group:
        raise ValueError(f"block {block} is no multiple of the group {group}")
    return group


def _solve(
    work: Tensor,
    upper: Tensor,
    choose: Callable[[Tensor, int, Tensor], None],
    block: int,
    group: int,
) -> tuple[Tensor, Tensor]:
    """Errors and mask [d, R]; `work` [d, R] becomes the repaired weight."""
    errors, mask = torch.empty_like(work), torch.empty_like(work, dtype=torch.bool)
    width = group or INNER
    substitution = _Substitution(work, width)
    for begin in range(0, len(work), block):
        end = min(begin + block, len(work))
        now = work[begin:end].addmm_(upper[:begin, begin:end].T, errors[:begin], alpha=-1)
        if not group:
            choose(now, begin, mask[begin:end])
        for low in range(begin, end, width):
            here, before = slice(low, min(low + width, end)), slice(begin, low)
            part = work[here].addmm_(upper[before, here].T, errors[before], alpha=-1)
            if group:
                choose(part, low, mask[here])
            errors[here] = substitution.errors(part, upper[here, here], mask[here])
            part.masked_fill_(mask[here], 0)
    return errors, mask


class _Substitution:
    """Errors of a few columns that are up to date with all columns before them.

    Views of its memory are made once: at few rows making them would take longer than the sums.
    """

    def __init__(self, work: Tensor, width: int) -> None:
        self.memory = work.new_empty(width, work.shape[1])
        self.rows = self.memory.unbind()
        self.earlier = [self.memory[:j].T for j in range(width)]

    def errors(self, columns: Tensor, upper: Tensor, mask: Tensor) -> Tensor:
        """e [B, R], valid until the next call; `columns` [B, R] get every repair due to them."""
        steps = (mask / upper.diagonal()[:, None]).unbind()
        factors = upper.T.contiguous().unbind()
        for j, column in enumerate(columns.unbind()):
            if j:
                column.addmv_(self.earlier[j], factors[j][:j], alpha=-1)
            torch.mul(column, steps[j], out=self.rows[j])
        return self.memory[: len(columns)]
