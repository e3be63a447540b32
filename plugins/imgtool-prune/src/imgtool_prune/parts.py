"""Which heads and neurons to remove, decided before any weight is loaded, and removing them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgtool.api import BadParams
from imgtool_prune.architectures import all_layers, coupled
from imgtool_prune.budget import MOST
from imgtool_prune.choosing import left_to_prune, own_sparsities
from imgtool_prune.costs import layout_flops, layout_size
from imgtool_prune.gathered import Gathered
from imgtool_prune.layout import gone
from imgtool_prune.packages import Pruner, Result
from imgtool_prune.patterns import Unstructured
from imgtool_prune.removing import Removing, loses
from imgtool_prune.structured import heads_to_remove, neurons_to_remove
from imgtool_prune.target import sparsity_for_cost
from imgtool_prune.trials import Trials

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from imgtool_prune.architectures import Coupling, Part, Unit
    from imgtool_prune.calibration import Calibration
    from imgtool_prune.layout import Layout
    from imgtool_prune.makers import ModelParams
    from imgtool_prune.removal import Removal
    from imgtool_prune.target import Goal

log = logging.getLogger("imgtool.prune")
SPARSITY = 0.2


@dataclass(frozen=True)
class Parts:
    """Removing heads and neurons.

    Attributes
    ----------
    units : with nothing but couplings that may lose something.
    sparsity : of parts that have none of their own.
    own : sparsity by path of layers that have one.
    multiple : divides the neurons that stay.
    goal : what the sparsity is to be found for; None: it is given.
    """

    removal: Removal
    units: list[Unit]
    sparsity: float
    own: Mapping[str, float]
    multiple: int
    goal: Goal | None = None

    def run(
        self, packages: Sequence[Sequence[Unit]], calibration: Calibration, notes: Path
    ) -> Result:
        """Zero the columns of what goes; finished packages lie in the folder `notes`.

        Raises
        ------
        BadParams : the target cannot be met.
        StageFailed : a layer saw no input, or cannot be pruned.
        """
        result = self._run(packages, calibration, notes)
        self._warn(result.found.get("target", {}).get("sparsity", self.sparsity))
        layers = result.facts.layers
        lost = {owner: part for layer in layers for owner, part in layer["removed"].items()}
        return replace(result, layout=lost)

    def _run(
        self, packages: Sequence[Sequence[Unit]], calibration: Calibration, notes: Path
    ) -> Result:
        if self.goal is None:
            solver = self.removing(self.sparsity)
            return Result(*Pruner(solver, calibration, notes).run(packages))
        if self.goal.target.kind == "loss":
            trials = Trials(
                self.removing, packages, Gathered(calibration, notes), self.goal.held_out, notes
            )
            return trials.run(self.goal.target.amount)
        found = self._to_cost(self.goal, calibration)
        pruner = Pruner(self.removing(found["sparsity"]), calibration, notes)
        return Result(*pruner.run(packages), {"target": found})

    def _to_cost(self, goal: Goal, calibration: Calibration) -> dict[str, float]:
        if goal.target.kind == "flop":
            cost = layout_flops(calibration.pipe, calibration.denoiser, self.units)
        else:
            cost = layout_size(calibration.denoiser, self.units, goal.source)
        return sparsity_for_cost(goal.target, cost({}), lambda s: cost(self._layout(s)))

    def removing(self, sparsity: float) -> Removing:
        """What removes so much."""
        return Removing(self.removal, self.counts(sparsity))

    def counts(self, sparsity: float) -> dict[str, int]:
        """How many heads or neurons go, by owner, where so many of those without own share go."""
        return {
            part.owner: _count(part, _share(part, coupling, self.own, sparsity), self.multiple)
            for coupling, part in _parts(self.units)
        }

    def _warn(self, sparsity: float) -> None:
        for coupling, part in _parts(self.units):
            if round(part.count * _share(part, coupling, self.own, sparsity)) >= part.count:
                log.warning("%s: one of %d %s is kept", part.owner, part.count, part.kind)

    def _layout(self, sparsity: float) -> Layout:
        """As large as any with so much removed."""
        counts = self.counts(sparsity)
        return {part.owner: gone(part, range(counts[part.owner])) for _, part in _parts(self.units)}


def choose_parts(
    removal: Removal,
    units: Sequence[Unit],
    params: ModelParams,
    multiple: int,
    goal: Goal | None = None,
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
    whole = Parts(removal, list(units), pattern.sparsity, own, multiple, goal)
    counts = whole.counts(MOST if goal else pattern.sparsity)
    lose = [coupled(u.block, [c for c in u.couplings if loses(c, counts)]) for u in units]
    for owner in (owner for owner, count in counts.items() if not count):
        log.info("%s: all heads or neurons stay", owner)
    return replace(whole, units=[unit for unit in lose if unit.couplings])


def _parts(units: Sequence[Unit]) -> Iterator[tuple[Coupling, Part]]:
    for unit in units:
        for coupling in unit.couplings:
            for part in coupling.parts:
                yield coupling, part


def _share(part: Part, coupling: Coupling, own: Mapping[str, float], common: float) -> float:
    """The part's sparsity: that of a layer of its own, then of its outputs, then of all."""
    return next((own[at] for at in (*part.feeds, *coupling.outputs) if at in own), common)


def _count(part: Part, share: float, multiple: int) -> int:
    if part.kind == "neurons":
        return neurons_to_remove(part.count, share, multiple)
    return heads_to_remove(part.count, share)
