"""Which heads and neurons to remove, decided before any weight is loaded, and removing them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool.api import BadParams
from imgtool_prune.architectures import all_layers, coupled
from imgtool_prune.choosing import left_to_prune, own_sparsities
from imgtool_prune.packages import Pruner
from imgtool_prune.patterns import Unstructured
from imgtool_prune.pruning import Result
from imgtool_prune.removing import Removing
from imgtool_prune.structured import heads_to_remove, neurons_to_remove

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from imgtool_prune.architectures import Coupling, Part, Unit
    from imgtool_prune.calibration import Calibration
    from imgtool_prune.makers import ModelParams
    from imgtool_prune.removal import Removal

log = logging.getLogger("imgtool.prune")
SPARSITY = 0.2


@dataclass(frozen=True)
class Parts:
    """Removing heads and neurons.

    Attributes
    ----------
    units : with nothing but couplings that lose something.
    counts : how many heads or neurons go, by owner.
    """

    removal: Removal
    units: list[Unit]
    counts: dict[str, int]

    def run(
        self, packages: Sequence[Sequence[Unit]], calibration: Calibration, notes: Path
    ) -> Result:
        """Zero the columns of what goes; finished packages lie in the folder `notes`.

        Raises
        ------
        StageFailed : a layer saw no input, or cannot be pruned.
        """
        solver = Removing(self.removal, self.counts)
        weights, facts = Pruner(solver, calibration, notes).run(packages)
        layout = {owner: lost for layer in facts.layers for owner, lost in layer["removed"].items()}
        return Result(weights, facts, layout=layout)


def choose_parts(
    removal: Removal, units: Sequence[Unit], params: ModelParams, multiple: int
) -> Parts:
    """What `params` remove of `units`, so that `multiple` divides the neurons that stay.

    Raises
    ------
    BadParams : nothing is left, a share is none, or a glob meets no layer.
    """
    if not units:
        raise BadParams("no heads or neurons of this family are known", "Take another pattern")
    units = left_to_prune(units, params)
    try:
        pattern = Unstructured(SPARSITY if params.sparsity is None else params.sparsity)
    except ValueError as err:
        raise BadParams(str(err)) from err
    own = own_sparsities(params.sparsity_of, all_layers(units), pattern)
    counts = {
        part.owner: _count(part, _share(part, coupling, own, pattern.sparsity), multiple)
        for unit in units
        for coupling in unit.couplings
        for part in coupling.parts
    }
    lose = [
        coupled(unit.block, [c for c in unit.couplings if any(counts[p.owner] for p in c.parts)])
        for unit in units
    ]
    return Parts(removal, [unit for unit in lose if unit.couplings], counts)


def _share(part: Part, coupling: Coupling, own: Mapping[str, float], common: float) -> float:
    """The part's sparsity: that of a layer of its own, then of its outputs, then of all."""
    return next((own[at] for at in (*part.feeds, *coupling.outputs) if at in own), common)


def _count(part: Part, share: float, multiple: int) -> int:
    if part.kind == "neurons":
        count = neurons_to_remove(part.count, share, multiple)
    else:
        count = heads_to_remove(part.count, share)
    if share and not count:
        log.info("%s: all %d %s stay", part.owner, part.count, part.kind)
    elif round(part.count * share) >= part.count:
        log.warning("%s: one of %d %s is kept", part.owner, part.count, part.kind)
    return count
