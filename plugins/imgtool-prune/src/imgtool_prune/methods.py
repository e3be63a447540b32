"""Criteria as one interface: what each has to see of a layer's input, and what it makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from imgtool_prune.allocation import saliency_curve
from imgtool_prune.criteria import magnitude_mask, output_error, row_mask, wanda_mask
from imgtool_prune.dsnot import CYCLES, Channels, refine
from imgtool_prune.factor import DAMPING, damp
from imgtool_prune.obs import BLOCK, prune_columns
from imgtool_prune.statistics import Hessian, HessianAndMoments, Moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from imgtool_prune.allocation import ErrorCurve
    from imgtool_prune.patterns import MaskPattern
    from imgtool_prune.statistics import Accumulator


@dataclass(frozen=True)
class Outcome:
    """New weights of layers that share an input.

    Attributes
    ----------
    weights : [R_i, d] each, zero where pruned.
    facts : for the report, such as the damping used.
    """

    weights: list[Tensor]
    facts: dict[str, float]


class Method(Protocol):
    """A criterion."""

    def accumulator(self, width: int, device: torch.device) -> Accumulator | None:
        """What gathers statistics of an input of `width` channels; None: nothing is needed."""
        ...

    def prune(
        self,
        weights: Sequence[Tensor],
        seen: Accumulator | None,
        patterns: Sequence[MaskPattern],
    ) -> Outcome:
        """Prune layers that share the input that `seen` gathered, each by its own pattern.

        Raises
        ------
        ValueError, ArithmeticError : they cannot be pruned.
        """
        ...


@dataclass(frozen=True)
class Obs:
    """OBS with repair: OBS-Diff where calls are weighed by step, SparseGPT where not."""

    damping: float = DAMPING
    block: int = BLOCK

    def accumulator(self, width: int, device: torch.device) -> Accumulator | None:
        """A full Hessian."""
        return Hessian(width, device=device)

    def prune(
        self,
        weights: Sequence[Tensor],
        seen: Accumulator | None,
        patterns: Sequence[MaskPattern],
    ) -> Outcome:
        """See `Method.prune`."""
        assert isinstance(seen, Hessian)
        damped = damp(seen.matrix(), self.damping)
        upper = damped.upper()
        pruned = prune_columns(weights, upper, damped.dead, patterns, self.block)
        facts = damped.facts(float(upper.square().sum()))
        return Outcome([layer.weight for layer in pruned], facts)

    def curves(self, weights: Sequence[Tensor], seen: Hessian) -> list[ErrorCurve]:
        """How the relative error of each layer is expected to grow with its sparsity."""
        hessian = seen.matrix()
        upper = damp(hessian, self.damping).upper()
        return [saliency_curve(weight, upper, output_error(weight, hessian)) for weight in weights]


@dataclass(frozen=True)
class Wanda:
    """Weight times norm of its input, by row."""

    def accumulator(self, width: int, device: torch.device) -> Accumulator | None:
        """Sums by channel."""
        return Moments(width, device=device)

    def prune(
        self,
        weights: Sequence[Tensor],
        seen: Accumulator | None,
        patterns: Sequence[MaskPattern],
    ) -> Outcome:
        """See `Method.prune`."""
        assert isinstance(seen, Moments)
        diagonal = seen.diagonal().float()
        masks = [
            wanda_mask(weight, diagonal, pattern)
            for weight, pattern in zip(weights, patterns, strict=True)
        ]
        return _zeroed(weights, masks)


@dataclass(frozen=True)
class Dsnot:
    """Rows masked by OBS scores, then swapped until their expected error is small; no repair.

    Attributes
    ----------
    cycles : most swaps in a row.
    keep_sign : stop a row before its expected error turns its sign.
    """

    damping: float = DAMPING
    cycles: int = CYCLES
    keep_sign: bool = False

    def accumulator(self, width: int, device: torch.device) -> Accumulator | None:
        """A full Hessian and sums by channel."""
        return HessianAndMoments(width, device=device)

    def prune(
        self,
        weights: Sequence[Tensor],
        seen: Accumulator | None,
        patterns: Sequence[MaskPattern],
    ) -> Outcome:
        """See `Method.prune`."""
        assert isinstance(seen, HessianAndMoments)
        pivots = damp(seen.matrix(), self.damping).upper().diagonal()
        moments = seen.moments
        channels = Channels(moments.summed(), moments.variance(), moments.diagonal())
        masks = [
            refine(
                weight.double(),
                row_mask((weight / pivots).square(), pattern),
                channels,
                group=pattern.group,
                cycles=self.cycles,
                keep_sign=self.keep_sign,
            )
            for weight, pattern in zip(weights, patterns, strict=True)
        ]
        return _zeroed(weights, masks)


@dataclass(frozen=True)
class Magnitude:
    """The weight alone."""

    def accumulator(self, width: int, device: torch.device) -> Accumulator | None:
        """Nothing."""
        return None

    def prune(
        self,
        weights: Sequence[Tensor],
        seen: Accumulator | None,
        patterns: Sequence[MaskPattern],
    ) -> Outcome:
        """See `Method.prune`."""
        return _zeroed(weights, list(map(magnitude_mask, weights, patterns)))


def _zeroed(weights: Sequence[Tensor], masks: Sequence[Tensor]) -> Outcome:
    zeroed = [weight.masked_fill(mask, 0) for weight, mask in zip(weights, masks, strict=True)]
    return Outcome(zeroed, {})
