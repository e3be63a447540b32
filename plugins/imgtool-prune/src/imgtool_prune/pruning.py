"""One pruning of single weights: how far each layer goes, and new weights for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool_prune.architectures import paths
from imgtool_prune.budget import Budget, expected_errors
from imgtool_prune.costs import flop_costs, size_costs
from imgtool_prune.gathered import Gathered
from imgtool_prune.masking import Masking
from imgtool_prune.methods import Obs
from imgtool_prune.packages import Pruner, Result
from imgtool_prune.patterns import Unstructured
from imgtool_prune.target import sparsity_for_cost
from imgtool_prune.trials import Trials

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imgtool_prune.architectures import Unit
    from imgtool_prune.calibration import Calibration
    from imgtool_prune.choosing import Choice
    from imgtool_prune.methods import Method
    from imgtool_prune.patterns import MaskPattern
    from imgtool_prune.pipeline import Source
    from imgtool_prune.target import Goal, Target


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
        pruner = Pruner(Masking(self.method, patterns), self.calibration, self.notes)
        return Result(*pruner.run(self.packages))

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
        found = sparsity_for_cost(target, costs.dense, lambda s: costs.at(budget.shares(s)))
        solver = Masking(self.method, self._patterns(budget, found["sparsity"]))
        weights, facts = Pruner(solver, self.calibration, self.notes).run(self.packages)
        return Result(weights, facts, {"target": found})

    def run_to_loss(self, target: Target, held_out: Sequence[str]) -> Result:
        """Prune as far as the loss on `held_out` allows.

        All trials, and what is kept, come from statistics of the dense network.

        Raises
        ------
        StageFailed : a layer saw no input, or cannot be pruned.
        """
        once = Gathered(self.calibration, self.notes)
        budget = self._budget(once)

        def solver(sparsity: float) -> Masking:
            return Masking(self.method, self._patterns(budget, sparsity))

        return Trials(solver, self.packages, once, held_out, self.notes).run(target.amount)

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


@dataclass(frozen=True)
class Masks:
    """Pruning single weights, as far as asked or as far as a target allows.

    Attributes
    ----------
    goal : what the sparsity is to be found for; None: it is in the choice.
    spread : as in `Pruning`.
    """

    method: Method
    choice: Choice
    goal: Goal | None = None
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
        if self.goal is None:
            return pruning.run()
        if self.goal.target.kind == "loss":
            return pruning.run_to_loss(self.goal.target, self.goal.held_out)
        return pruning.run_to_cost(self.goal.target, self.goal.source)
