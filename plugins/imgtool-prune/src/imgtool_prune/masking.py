"""Pruning single weights: a criterion and a pattern for each layer, as one solver of units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool_prune.architectures import linear_at
from imgtool_prune.criteria import magnitude_mask
from imgtool_prune.packages import Solved, named
from imgtool_prune.statistics import Hessian

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch
    from torch import nn

    from imgtool_prune.architectures import Unit
    from imgtool_prune.methods import Method
    from imgtool_prune.patterns import MaskPattern
    from imgtool_prune.statistics import Accumulator


@dataclass(frozen=True)
class Masking:
    """Zeros within weights; see `Solver`.

    Attributes
    ----------
    patterns : by path of layer.
    """

    method: Method
    patterns: Mapping[str, MaskPattern]

    def accumulator(self, width: int, device: torch.device) -> Accumulator | None:
        """What the criterion needs."""
        return self.method.accumulator(width, device)

    def solve(
        self, denoiser: nn.Module, unit: Unit, seen: dict[str, Accumulator]
    ) -> Iterator[Solved]:
        """See `Solver.solve`."""
        for group in unit.inputs:
            gathered = seen.pop(group[0], None)
            before = [linear_at(denoiser, path).weight.data.float() for path in group]
            with named(group):
                outcome = self.method.prune(before, gathered, [self.patterns[at] for at in group])
            for path, old, new in zip(group, before, outcome.weights, strict=True):
                plain = None
                if isinstance(gathered, Hessian):
                    plain = old.masked_fill(magnitude_mask(old, self.patterns[path]), 0)
                yield Solved(path, new, gathered, outcome.facts, plain)
