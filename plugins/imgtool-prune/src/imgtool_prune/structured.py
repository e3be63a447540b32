"""Removing whole neurons and attention heads, with exact repair of what stays (OBS-Diff).

    W       [R, d]  output projection: its columns are neurons, or heads of `size` columns each
    H~^-1   [d, d]  live inverse: as if the removed columns had never been

Whatever the order, the kept weights end as the least-squares optimum W H~[:, K] (H~_KK)^-1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from imgtool_prune.statistics import exact_products

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from imgtool_prune.factor import Damped

HeadScore = Literal["reference", "exact"]
# Rank fusion: OBS-Diff, eq. 8.
RRF_K = 60
# Downdates between fresh inversions: each adds rounding, at |P| d^2 instead of 2 d^3.
REFRESH = 8
WHOLE = slice(None)


class Projection:
    """An output projection that loses columns.

    Attributes
    ----------
    weight : [R, d] as repaired so far, zero where removed.
    gone : [d] bool.
    spent : 1/2 tr(dW H~ dW^T), the exact cost of all removals.
    """

    def __init__(self, weight: Tensor, damped: Damped) -> None:
        self.matrix, self.inverse = damped.matrix, damped.inverse()
        self.weight = weight.to(self.matrix, copy=True)
        self.weight[:, damped.dead] = 0
        self.gone = torch.zeros_like(damped.dead)
        self.spent = 0.0
        self._downdates = 0

    def neuron_scores(self, columns: slice = WHOLE) -> Tensor:
        """sum_r W_rq^2 / [H~^-1]_qq of `columns`, eq. 6; infinite where removed."""
        scores = self.weight[:, columns].square().sum(0) / self.inverse.diagonal()[columns]
        return scores.masked_fill(self.gone[columns], torch.inf)

    def head_scores(
        self, size: int, rule: HeadScore = "reference", columns: slice = WHOLE
    ) -> Tensor:
        """A score for each head, of `size` of the `columns`, infinite where removed.

        `reference`, of the official code, sums W_rk^2 / L_kk^2 with L the factor of the head's
        block of H~^-1; `exact` is the error that removing the head costs after repair.
        """
        weights = self.weight[:, columns].unflatten(1, (-1, size)).permute(1, 2, 0)
        heads = len(weights)
        blocks = self.inverse[columns, columns].unfold(0, size, size).unfold(1, size, size)
        factors = torch.linalg.cholesky(blocks[range(heads), range(heads)])
        if rule == "exact":
            solved = torch.linalg.solve_triangular(factors, weights, upper=False)
            scores = solved.square().sum((1, 2)) / 2
        else:
            pivots = factors.diagonal(dim1=1, dim2=2).square()
            scores = (weights.square().sum(2) / pivots).sum(1)
        return scores.masked_fill(self.gone[columns][::size], torch.inf)

    def remove(self, columns: Tensor) -> None:
        """Remove `columns` (their numbers) at once, repair the others, downdate the inverse."""
        with exact_products():
            factor = torch.linalg.cholesky(self.inverse[columns][:, columns])
            coupling = torch.linalg.solve_triangular(factor, self.inverse[columns], upper=False)
            errors = torch.linalg.solve_triangular(factor, self.weight[:, columns].T, upper=False)
            self.weight -= errors.T @ coupling
            self.inverse -= coupling.T @ coupling
        self.spent += float(errors.square().sum()) / 2
        self.gone[columns] = True
        self.weight[:, columns] = 0
        self._isolate(self.inverse)
        self._downdates += 1
        if self._downdates % REFRESH == 0:
            self.refresh()

    def refresh(self) -> None:
        """Invert afresh, to be rid of the rounding of the downdates."""
        live = self.matrix.clone()
        self._isolate(live)
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(live))

    def _isolate(self, matrix: Tensor) -> None:
        matrix[self.gone], matrix[:, self.gone] = 0, 0
        matrix.diagonal()[self.gone] = 1


def chunks(count: int) -> Iterator[int]:
    """How many of `count` neurons each round removes: many at first, 64 in the end."""
    size = (count - 512) // 2
    while count:
        now = min(count, max(size, 64), 1024)
        yield now
        count -= now
        size = (size - 512) // 2


def remove_neurons(projection: Projection, count: int, columns: slice = WHOLE) -> list[int]:
    """Remove the `count` cheapest of `columns` in rounds, with fresh scores for each.

    Returns
    -------
    Their numbers among `columns`, in order of removal.
    """
    removed: list[int] = []
    for chunk in chunks(count):
        cheapest = projection.neuron_scores(columns).argsort(stable=True)[:chunk]
        projection.remove(cheapest + (columns.start or 0))
        removed += cheapest.tolist()
    return removed


def fused_order(scores: Sequence[Tensor]) -> list[int]:
    """Numbers of heads, the first to remove first; of equal ones, the first stream's choice.

    Reciprocal rank fusion of the streams that share the heads, eq. 8; one stream alone keeps its
    own order.

    Parameters
    ----------
    scores : [heads] of each stream; the image stream is the first.
    """
    ranks = [torch.argsort(s.argsort(stable=True)).tolist() for s in scores]
    fused = [sum(1 / (RRF_K + rank + 1) for rank in head) for head in zip(*ranks, strict=True)]
    return sorted(range(len(fused)), key=lambda head: (-fused[head], ranks[0][head]))


def remove_heads(
    streams: Sequence[Projection],
    size: int,
    count: int,
    rule: HeadScore = "reference",
    columns: slice = WHOLE,
) -> list[int]:
    """Remove `count` heads of `columns` from all streams, one at a time.

    Returns
    -------
    Their numbers in order of removal.
    """
    removed = []
    for _ in range(count):
        (head, *_) = fused_order([stream.head_scores(size, rule, columns) for stream in streams])
        begin = (columns.start or 0) + head * size
        for stream in streams:
            stream.remove(torch.arange(begin, begin + size, device=stream.gone.device))
        removed.append(head)
    return removed


def l1_order(weights: Sequence[Tensor], size: int = 1) -> list[int]:
    """Numbers of neurons or heads by the L1 norm of their columns, the smallest first.

    Streams that share heads are summed (arXiv 1608.08710 for filters; no repair).
    """
    norms = sum(weight.abs().sum(0).unflatten(0, (-1, size)).sum(1) for weight in weights)
    assert not isinstance(norms, int)
    order: list[int] = norms.argsort(stable=True).tolist()
    return order


def heads_to_remove(heads: int, sparsity: float) -> int:
    """round(heads * sparsity), half to even; one head always stays."""
    return min(round(heads * sparsity), heads - 1)


def neurons_to_remove(width: int, sparsity: float, multiple: int = 64) -> int:
    """round(width * sparsity), moved so that a multiple of `multiple` neurons stays.

    Matrix products are fast at such widths. `multiple` 1 is the paper's count. Nothing asked,
    nothing removed; one multiple, or everything, always stays.
    """
    asked = round(width * sparsity)
    if not asked:
        return 0
    kept = round((width - asked) / multiple) * multiple
    return width - min(max(kept, multiple), width)
