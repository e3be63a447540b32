"""Which entries of a weight to prune, given a score for each: low scores go first.

Masks are true where pruned. Ties go by position, so the same scores give the same mask anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor

Rule = Literal["exact", "reference"]


def smallest(scores: Tensor, count: int) -> Tensor:
    """Mask of the `count` smallest of all scores; of equal ones, the first in row order."""
    flat = scores.flatten()
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = flat.kthvalue(count).values
    mask = flat < threshold
    missing = count - int(mask.sum())
    mask[(flat == threshold).nonzero().flatten()[:missing]] = True
    return mask.view(scores.shape)


def smallest_by_row(scores: Tensor, count: int) -> Tensor:
    """Mask of the `count` smallest scores of each row."""
    order = scores.argsort(dim=-1, stable=True)[..., :count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, order, True)


def smallest_by_group(scores: Tensor, keep: int, group: int) -> Tensor:
    """Mask that leaves the `keep` largest of every `group` neighbours in a row."""
    groups = scores.unflatten(-1, (-1, group))
    return smallest_by_row(groups, group - keep).flatten(-2)


class Pattern(Protocol):
    """A choice of entries to prune, made while columns are solved from left to right."""

    @property
    def group(self) -> int:
        """Columns decided at once on current weights; 0: a whole block of the solver."""
        ...

    def check(self, rows: int, columns: int) -> None:
        """Raise ValueError where a weight of this shape cannot have the pattern."""
        ...

    def choose(self, scores: Tensor, dead: Tensor, begin: int) -> Tensor:
        """Mask of the columns from `begin` on.

        Parameters
        ----------
        scores : [R, B].
        dead : [B] bool, channels without input, whose weights are zero already.
        """
        ...


@dataclass(frozen=True)
class Unstructured:
    """A share of each block, wherever in it.

    `exact` prunes round(sparsity * R * B) of the entries with input: zeros of dead channels come on
    top. `reference`, the rule of SparseGPT's code, prunes every entry up to the score at position
    int(sparsity * R * B), which is one more.

    Raises
    ------
    ValueError : sparsity outside [0, 1).
    """

    sparsity: float
    rule: Rule = "exact"

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity {self.sparsity} is not in [0, 1)")

    @property
    def group(self) -> int:
        """A whole block."""
        return 0

    def check(self, rows: int, columns: int) -> None:
        """Any shape will do."""

    def choose(self, scores: Tensor, dead: Tensor, begin: int) -> Tensor:
        """See `Pattern.choose`."""
        if self.rule == "reference":
            threshold = scores.flatten().kthvalue(int(scores.numel() * self.sparsity) + 1).values
            return scores <= threshold
        mask = torch.zeros_like(scores, dtype=torch.bool)
        live = scores[:, ~dead]
        mask[:, ~dead] = smallest(live, round(self.sparsity * live.numel()))
        return mask


@dataclass(frozen=True)
class SemiStructured:
    """N:M: `keep` of every `group` neighbours in a row stay, as sparse tensor cores want it.

    Raises
    ------
    ValueError : not 0 < keep < group.
    """

    keep: int
    group: int

    def __post_init__(self) -> None:
        if not 0 < self.keep < self.group:
            raise ValueError(f"{self.keep}:{self.group} is no pattern: keep fewer than the group")

    def check(self, rows: int, columns: int) -> None:
        """The group must divide the columns."""
        if columns % self.group:
            raise ValueError(f"{columns} columns are no multiple of {self.group}")

    def choose(self, scores: Tensor, dead: Tensor, begin: int) -> Tensor:
        """See `Pattern.choose`. Dead channels go first: they cost nothing."""
        return smallest_by_group(scores.masked_fill(dead, -1.0), self.keep, self.group)


# What a criterion without repair can make too.
MaskPattern: TypeAlias = Unstructured | SemiStructured


@dataclass(frozen=True)
class Given:
    """A mask decided elsewhere: weights are repaired around it.

    Attributes
    ----------
    mask : [R, d] bool.
    """

    mask: Tensor

    @property
    def group(self) -> int:
        """A whole block."""
        return 0

    def check(self, rows: int, columns: int) -> None:
        """The mask must have the weight's shape."""
        if self.mask.shape != (rows, columns):
            raise ValueError(f"mask of {tuple(self.mask.shape)} for a weight of {(rows, columns)}")

    def choose(self, scores: Tensor, dead: Tensor, begin: int) -> Tensor:
        """See `Pattern.choose`."""
        return self.mask[:, begin : begin + scores.shape[1]]
