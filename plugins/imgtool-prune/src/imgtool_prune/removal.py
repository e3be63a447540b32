"""Criteria that remove whole heads and neurons: OBS with repair, and L1 norms without."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgtool_prune.factor import DAMPING, damp
from imgtool_prune.statistics import Hessian
from imgtool_prune.structured import Projection, l1_order, remove_heads, remove_neurons

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor

    from imgtool_prune.architectures import Part
    from imgtool_prune.statistics import Accumulator
    from imgtool_prune.structured import HeadScore


@dataclass(frozen=True)
class Removed:
    """What is left of output projections that share their columns' meaning.

    Attributes
    ----------
    weights : [R_i, d] of each stream, zero where removed.
    gone : numbers of the removed heads or neurons of each part, rising.
    facts : of each stream, for the report.
    """

    weights: list[Tensor]
    gone: list[list[int]]
    facts: Sequence[Mapping[str, float]] = field(default_factory=list)


class Removal(ABC):
    """A criterion for heads and neurons."""

    @abstractmethod
    def accumulator(self, width: int, device: torch.device) -> Accumulator | None:
        """What gathers statistics of an input of `width` channels; None: nothing is needed."""

    @abstractmethod
    def remove(
        self,
        weights: Sequence[Tensor],
        seen: Sequence[Accumulator | None],
        parts: Sequence[Part],
        counts: Sequence[int],
    ) -> Removed:
        """Remove `counts` heads or neurons of each part from all streams.

        Parameters
        ----------
        weights, seen : of each stream; [R_i, d] float32, and what was gathered of its input.

        Raises
        ------
        ValueError, ArithmeticError : they cannot be removed.
        """


@dataclass(frozen=True)
class ObsRemoval(Removal):
    """Those that cost least after repair go, and what stays is repaired (OBS-Diff)."""

    damping: float = DAMPING
    head_score: HeadScore = "reference"

    def accumulator(self, width: int, device: torch.device) -> Accumulator | None:
        """A full Hessian."""
        return Hessian(width, device=device)

    def remove(
        self,
        weights: Sequence[Tensor],
        seen: Sequence[Accumulator | None],
        parts: Sequence[Part],
        counts: Sequence[int],
    ) -> Removed:
        """See `Removal.remove`."""
        streams, facts, gone = [], [], []
        for weight, hessian in zip(weights, seen, strict=True):
            assert isinstance(hessian, Hessian)
            damped = damp(hessian.matrix(), self.damping)
            streams.append(Projection(weight, damped))
            facts.append(damped.facts(float(streams[-1].inverse.trace())))
        for part, count in zip(parts, counts, strict=True):
            if part.kind == "heads":
                found = remove_heads(streams, part.size, count, self.head_score, part.columns)
            else:
                (stream,) = streams
                found = remove_neurons(stream, count, part.columns)
            gone.append(sorted(found))
        return Removed([stream.weight for stream in streams], gone, facts)


@dataclass(frozen=True)
class L1Removal(Removal):
    """Those of smallest L1 norm go, and what stays is as it was."""

    def accumulator(self, width: int, device: torch.device) -> Accumulator | None:
        """Nothing."""
        return None

    def remove(
        self,
        weights: Sequence[Tensor],
        seen: Sequence[Accumulator | None],
        parts: Sequence[Part],
        counts: Sequence[int],
    ) -> Removed:
        """See `Removal.remove`."""
        left, gone = [weight.clone() for weight in weights], []
        for part, count in zip(parts, counts, strict=True):
            of_part = [weight[:, part.columns] for weight in left]
            numbers = sorted(l1_order(of_part, part.size)[:count])
            for columns in of_part:
                columns.unflatten(1, (part.count, part.size))[:, numbers] = 0
            gone.append(numbers)
        return Removed(left, gone, [{}] * len(left))
