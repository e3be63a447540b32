"""`--target`: the sparsity that meets a size, a number of FLOPs or a largest loss."""

from __future__ import annotations

import json
import logging
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from imgtool.api import BadParams, write_file
from imgtool_prune.architectures import linear_at, paths
from imgtool_prune.budget import MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from imgtool_prune.architectures import Unit
    from imgtool_prune.loss import HeldOut
    from imgtool_prune.packages import Pruner

log = logging.getLogger("imgtool.prune")

AMOUNTS = {
    **{"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
    **{"MFLOP": 1e6, "GFLOP": 1e9, "TFLOP": 1e12},
}
Kind: TypeAlias = Literal["size", "flop", "loss"]
SHARES: dict[str, Kind] = {"size": "size", "FLOP": "flop", "loss": "loss"}
# Sparsities nearer to each other than this are one: a trial of a loss draws pictures.
CLOSE, CLOSE_LOSS = 2**-14, 2**-7


@dataclass(frozen=True)
class Target:
    """What is asked for.

    Attributes
    ----------
    text : as it was written.
    amount : bytes or FLOPs of one evaluation of one picture; of a share, 1 is the dense model's,
        and of a loss the variance of its latents.
    """

    text: str
    kind: Kind
    amount: float
    share: bool


def read_target(text: str) -> Target:
    """What `12MB`, `3GFLOP`, `60%size`, `60%FLOP` or `5%loss` asks for.

    Raises
    ------
    BadParams : it is none of these.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(%?) ?(?:of )?([A-Za-z]+)", text.strip())
    if found and float(found[1]):
        number, share, unit = float(found[1]), bool(found[2]), found[3]
        if share and unit in SHARES:
            return Target(text, SHARES[unit], number / 100, share=True)
        if not share and unit in AMOUNTS:
            kind: Kind = "flop" if unit.endswith("FLOP") else "size"
            return Target(text, kind, number * AMOUNTS[unit], share=False)
    raise BadParams(
        f"target {text!r} is neither a size, a number of FLOPs nor a loss",
        "Write it like 12MB, 3GFLOP, 60%size, 60%FLOP or 5%loss",
    )


@dataclass(frozen=True)
class Costs:
    """What the denoiser costs, in bytes or in FLOPs.

    Attributes
    ----------
    dense : with nothing pruned.
    layers : by path, what goes with all of a layer's weights.
    masks : by path, what it costs to say which weights of a pruned layer are left.
    """

    dense: float
    layers: Mapping[str, float]
    masks: Mapping[str, float]

    def at(self, shares: Mapping[str, float]) -> float:
        """The cost with these sparsities by path."""
        pruned = {path: share for path, share in shares.items() if share}
        return self.dense - sum(
            self.layers[path] * share - self.masks[path] for path, share in pruned.items()
        )


def furthest(holds: Callable[[float], bool], good: float, bad: float, close: float) -> float:
    """By bisection, the value furthest from `good`, where `holds` is true, at which it still is."""
    while abs(bad - good) > close:
        middle = (good + bad) / 2
        if holds(middle):
            good = middle
        else:
            bad = middle
    return good


def sparsity_for_cost(
    target: Target, costs: Costs, shares: Callable[[float], Mapping[str, float]]
) -> float:
    """The least sparsity at which the denoiser costs no more than asked.

    Parameters
    ----------
    shares : sparsities by path for one of the whole.

    Raises
    ------
    BadParams : it costs no more already, or more even at the most.
    """
    limit = target.amount * (costs.dense if target.share else 1)
    least = costs.at(shares(MOST))
    if not least <= limit < costs.dense:
        raise BadParams(
            f"target {target.text!r} cannot be met: {100 * limit / costs.dense:.4g} % of the dense"
            f" denoiser, and pruning leaves {100 * least / costs.dense:.3g} % at the least",
            f"The dense denoiser has {_told(costs.dense, target)}",
        )
    return furthest(lambda s: costs.at(shares(s)) <= limit, MOST, 0.0, CLOSE)


def _told(amount: float, target: Target) -> str:
    return f"{amount / 1e6:.4g} MB" if target.kind == "size" else f"{amount / 1e9:.4g} GFLOP"


@dataclass(frozen=True)
class Trials:
    """Prunings at several sparsities, and the loss of each; noted on disk.

    Attributes
    ----------
    pruner : of a sparsity, with a folder for its notes; statistics are known already.
    """

    pruner: Callable[[float, Path], Pruner]
    packages: Sequence[Sequence[Unit]]
    held_out: HeldOut
    notes: Path

    def sparsity_for(self, loss: float) -> float:
        """The largest sparsity whose loss is no more than that."""

        def holds(sparsity: float) -> bool:
            return self.loss(sparsity) <= loss

        return MOST if holds(MOST) else furthest(holds, 0.0, MOST, CLOSE_LOSS)

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

    def _measured(self, sparsity: float) -> float:
        folder = self.notes / f"trial-{sparsity:.6f}"
        pruner = self.pruner(sparsity, folder)
        layers = [path for package in self.packages for path in paths(package)]
        weights = [linear_at(pruner.denoiser, path).weight.data for path in layers]
        before = [weight.clone() for weight in weights]
        self.held_out.dense  # noqa: B018 - drawn while the network is dense
        try:
            pruner.run(self.packages)
            return self.held_out.error()
        finally:
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
            shutil.rmtree(folder, ignore_errors=True)
