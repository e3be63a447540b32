"""One pruning of single weights: how far each layer goes, and new weights for all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from imgtool_prune.architectures import paths
from imgtool_prune.budget import Budget, expected_errors
from imgtool_prune.costs import flop_costs, size_costs
from imgtool_prune.gathered import Gathered
from imgtool_prune.loss import HeldOut
from imgtool_prune.masking import Masking
from imgtool_prune.methods import Obs
from imgtool_prune.packages import Pruner, gather
from imgtool_prune.patterns import Unstructured
from imgtool_prune.target import Trials, sparsity_for_cost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from imgtool_prune.architectures import Unit
    from imgtool_prune.calibration import Calibration
    from imgtool_prune.choosing import Choice
    from imgtool_prune.layout import Layout
    from imgtool_prune.methods import Method
    from imgtool_prune.packages import Facts
    from imgtool_prune.patterns import MaskPattern
    from imgtool_prune.pipeline import Source
    from imgtool_prune.target import Target


@dataclass(frozen=True)
class Result:
    """What a pruning came to.

    Attributes
    ----------
    weights : by their name in the denoiser's state.
    found : for the report, what was asked for instead of a sparsity and what met it.
    layout : heads and neurons whose columns are zero now.
    """

    weights: dict[str, Tensor]
    facts: Facts
    found: Mapping[str, Any] = field(default_factory=dict)
    layout: Layout = field(default_factory=dict)


@dataclass(frozen=True)
class Pruning:
    """All that a pruning goes by.

    Attributes
    ----------
    notes : folder of this pruning alone.
    spread : most that a layer's sparsity may differ from the whole's; None: all are alike.
    """

    method: Method
    choice: Choice
    packages: Sequence[Sequence[Unit]]
    calibration: Calibration
    notes: Path
    spread: float | None = None

    def run(self) -> Result:
        """Prune as far as the pattern says.

        Raises
        ------
        StageFailed : a layer saw no input, or cannot be pruned.
        """
        pattern = self.choice.pattern
        patterns: dict[str, MaskPattern] = dict.fromkeys(paths(self.choice.units), pattern)
        if isinstance(pattern, Unstructured):
            patterns = self._patterns(self._budget(self.calibration), pattern.sparsity)
        return Result(*self._pruner(patterns).run(self.packages))

    def run_to_cost(self, target: Target, source: Source) -> Result:
        """Prune until the denoiser costs no more than `target`.

        Raises
        ------
        BadParams : it cannot be met.
        StageFailed : a layer saw no input, or cannot be pruned.
        """
        denoiser, layers = self.calibration.denoiser, paths(self.choice.units)
        if target.kind == "flop":
            costs = flop_costs(self.calibration.pipe, denoiser, layers)
        else:
            costs = size_costs(denoiser, layers, source)
        budget = self._budget(self.calibration)
        sparsity = sparsity_for_cost(target, costs, budget.shares)
        weights, facts = self._pruner(self._patterns(budget, sparsity)).run(self.packages)
        cost = costs.at(budget.shares(sparsity))
        found = {"sparsity": sparsity, "cost": cost, "dense_cost": costs.dense}
        return Result(weights, facts, {"target": found})

    def run_to_loss(self, target: Target, held_out: Sequence[str]) -> Result:
        """Prune as far as the loss on `held_out` allows.

        All trials, and what is kept, come from statistics of the dense network.

        Raises
        ------
        StageFailed : a layer saw no input, or cannot be pruned.
        """
        given = self.calibration.trajectories
        once = Gathered(self.calibration.pipe, self.calibration.denoiser, given, self.notes)
        for package in self.packages:
            gather(once, self.method, package)
        pruning = replace(self, calibration=once)
        budget = pruning._budget(once)

        def pruner(sparsity: float, notes: Path) -> Pruner:
            return replace(pruning, notes=notes)._pruner(self._patterns(budget, sparsity))

        seed = given.seed + len(given.prompts)
        trials = Trials(pruner, self.packages, HeldOut(once, held_out, seed), self.notes)
        sparsity = trials.sparsity_for(target.amount)
        weights, facts = pruner(sparsity, self.notes).run(self.packages)
        found = {"sparsity": sparsity, "losses": trials.losses()}
        return Result(weights, facts, {"target": found})

    def _budget(self, calibration: Calibration) -> Budget:
        if self.spread is None:
            return Budget(self.choice.own, self.choice.free)
        assert isinstance(self.method, Obs)
        curves = expected_errors(calibration, self.method, self.packages, self.notes)
        return Budget(self.choice.own, self.choice.free, curves, self.spread)

    def _patterns(self, budget: Budget, sparsity: float) -> dict[str, MaskPattern]:
        assert isinstance(self.choice.pattern, Unstructured)
        rule, shares = self.choice.pattern.rule, budget.shares(sparsity)
        return {path: Unstructured(share, rule) for path, share in shares.items()}

    def _pruner(self, patterns: Mapping[str, MaskPattern]) -> Pruner:
        return Pruner(Masking(self.method, patterns), self.calibration, self.notes)


@dataclass(frozen=True)
class Masks:
    """Pruning single weights, as far as asked or as far as a target allows.

    Attributes
    ----------
    held_out : prompts to measure the target's loss with.
    spread : as in `Pruning`.
    """

    method: Method
    choice: Choice
    source: Source
    target: Target | None = None
    held_out: Sequence[str] = ()
    spread: float | None = None

    @property
    def units(self) -> list[Unit]:
        """Whose layers are solved for."""
        return self.choice.units

    def run(
        self, packages: Sequence[Sequence[Unit]], calibration: Calibration, notes: Path
    ) -> Result:
        """Prune `packages`; finished ones lie in the folder `notes`.

        Raises
        ------
        BadParams : the target cannot be met.
        StageFailed : a layer saw no input, or cannot be pruned.
        """
        pruning = Pruning(self.method, self.choice, packages, calibration, notes, self.spread)
        if self.target is None:
            return pruning.run()
        if self.target.kind == "loss":
            return pruning.run_to_loss(self.target, self.held_out)
        return pruning.run_to_cost(self.target, self.source)
