"""Pruning to a loss: trials at several sparsities, all from statistics of the dense network."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from imgtool.api import write_file
from imgtool_prune.architectures import linear_at, paths
from imgtool_prune.budget import MOST
from imgtool_prune.loss import HeldOut
from imgtool_prune.packages import Pruner, Result, gather
from imgtool_prune.target import furthest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from imgtool_prune.architectures import Unit
    from imgtool_prune.gathered import Gathered
    from imgtool_prune.packages import Solver

log = logging.getLogger("imgtool.prune")
# Sparsities nearer to each other than this are one: a trial draws pictures.
CLOSE = 2**-7


@dataclass(frozen=True)
class Trials:
    """Prunings of a dense network and the loss of each; noted on disk.

    Attributes
    ----------
    solver : of a sparsity.
    calibration : runs once, while the network is dense.
    prompts : held out, to measure with.
    notes : folder of these trials alone.
    """

    solver: Callable[[float], Solver]
    packages: Sequence[Sequence[Unit]]
    calibration: Gathered
    prompts: Sequence[str]
    notes: Path

    def run(self, loss: float) -> Result:
        """Prune as far as `loss` allows.

        Raises
        ------
        StageFailed : a layer saw no input, or cannot be pruned.
        """
        for package in self.packages:
            gather(self.calibration, self.solver(0.0), package)
        sparsity = self.sparsity_for(loss)
        weights, facts = self._pruner(sparsity, self.notes).run(self.packages)
        found = {"sparsity": sparsity, "losses": self.losses()}
        return Result(weights, facts, {"target": found})

    def sparsity_for(self, loss: float) -> float:
        """The largest sparsity whose loss is no more than that."""

        def holds(sparsity: float) -> bool:
            return self.loss(sparsity) <= loss

        return MOST if holds(MOST) else furthest(holds, 0.0, MOST, CLOSE)

    def loss(self, sparsity: float) -> float:
        """Mean paired error with so much pruned; the network is as before after."""
        known = self.losses()
        name = f"{sparsity:.6f}"
        if name not in known:
            known[name] = self._measured(sparsity)
            write_file(self._file, json.dumps(known).encode())
        log.info("sparsity %.3f: loss %.2f %%", sparsity, 100 * known[name])
        return known[name]

    def losses(self) -> dict[str, float]:
        """Loss by sparsity of all trials so far, in their order."""
        if not self._file.is_file():
            return {}
        found: dict[str, float] = json.loads(self._file.read_text())
        return found

    @property
    def _file(self) -> Path:
        return self.notes / "losses.json"

    @cached_property
    def _held_out(self) -> HeldOut:
        given = self.calibration.trajectories
        return HeldOut(self.calibration, self.prompts, given.seed + len(given.prompts))

    def _pruner(self, sparsity: float, notes: Path) -> Pruner:
        return Pruner(self.solver(sparsity), self.calibration, notes)

    def _measured(self, sparsity: float) -> float:
        folder = self.notes / f"trial-{sparsity:.6f}"
        layers = [path for package in self.packages for path in paths(package)]
        denoiser = self.calibration.denoiser
        weights = [linear_at(denoiser, path).weight.data for path in layers]
        before = [weight.clone() for weight in weights]
        self._held_out.dense  # noqa: B018 - drawn while the network is dense
        try:
            self._pruner(sparsity, folder).run(self.packages)
            return self._held_out.error()
        finally:
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
            shutil.rmtree(folder, ignore_errors=True)
