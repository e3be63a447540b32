"""Removing heads and neurons: a criterion and a count for each part, as one solver of units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool_prune.architectures import linear_at
from imgtool_prune.layout import gone
from imgtool_prune.packages import Solved, named
from imgtool_prune.removal import L1Removal
from imgtool_prune.statistics import Hessian

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch
    from torch import Tensor, nn

    from imgtool_prune.architectures import Coupling, Unit
    from imgtool_prune.removal import Removal
    from imgtool_prune.statistics import Accumulator


def loses(coupling: Coupling, counts: Mapping[str, int]) -> bool:
    """Whether anything of `coupling` goes where so many heads or neurons of each owner go."""
    return any(counts[part.owner] for part in coupling.parts)


@dataclass(frozen=True)
class Removing:
    """Zero columns of output projections; see `Solver`.

    A net with these zeros gives what it would give without the heads and neurons.

    Attributes
    ----------
    counts : how many to remove, by owner of the part.
    """

    removal: Removal
    counts: Mapping[str, int]

    def accumulator(self, width: int, device: torch.device) -> Accumulator | None:
        """What the criterion needs."""
        return self.removal.accumulator(width, device)

    def solve(
        self, denoiser: nn.Module, unit: Unit, seen: dict[str, Accumulator]
    ) -> Iterator[Solved]:
        """See `Solver.solve`; the facts of a layer say what is `removed`, as layouts do."""
        for coupling in unit.couplings:
            if loses(coupling, self.counts):
                yield from self._of(denoiser, coupling, seen)

    def _of(
        self, denoiser: nn.Module, coupling: Coupling, seen: dict[str, Accumulator]
    ) -> Iterator[Solved]:
        gathered = [seen.pop(path, None) for path in coupling.outputs]
        weights = [linear_at(denoiser, path).weight.data.float() for path in coupling.outputs]
        counts = [self.counts[part.owner] for part in coupling.parts]
        with named(coupling.outputs):
            left = self.removal.remove(weights, gathered, coupling.parts, counts)
        plain: list[Tensor | None] = [None] * len(weights)
        if all(isinstance(each, Hessian) for each in gathered):
            plain[:] = L1Removal().remove(weights, gathered, coupling.parts, counts).weights
        lost = {
            part.owner: gone(part, numbers)
            for part, numbers in zip(coupling.parts, left.gone, strict=True)
        }
        for found in zip(coupling.outputs, left.weights, gathered, left.facts, plain, strict=True):
            path, weight, accumulator, facts, by_norm = found
            yield Solved(path, weight, accumulator, {**facts, "removed": lost}, by_norm)
