"""`--target`: the sparsity that meets a size, a number of FLOPs or a largest loss."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from imgtool.api import BadParams
from imgtool_prune.budget import MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgtool_prune.pipeline import Source

AMOUNTS = {
    **{"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
    **{"MFLOP": 1e6, "GFLOP": 1e9, "TFLOP": 1e12},
}
Kind: TypeAlias = Literal["size", "flop", "loss"]
SHARES: dict[str, Kind] = {"size": "size", "FLOP": "flop", "loss": "loss"}
# Sparsities nearer to each other than this are one.
CLOSE = 2**-14


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


@dataclass(frozen=True)
class Goal:
    """A target, and what it is measured by.

    Attributes
    ----------
    source : its files tell how a weight is stored.
    held_out : prompts to measure a loss with.
    """

    target: Target
    source: Source
    held_out: Sequence[str] = ()


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
    target: Target, dense: float, cost: Callable[[float], float]
) -> dict[str, float]:
    """The least sparsity at which the denoiser costs no more than asked.

    Parameters
    ----------
    dense : what the dense denoiser costs.
    cost : of a sparsity; it never rises.

    Returns
    -------
    For the report: `sparsity`, its `cost`, and `dense_cost`.

    Raises
    ------
    BadParams : it costs no more already, or more even at the most.
    """
    limit, least = target.amount * (dense if target.share else 1), cost(MOST)
    if not least <= limit < dense:
        raise BadParams(
            f"target {target.text!r} cannot be met: {100 * limit / dense:.4g} % of the dense"
            f" denoiser, and pruning leaves {100 * least / dense:.3g} % at the least",
            f"The dense denoiser has {_told(dense, target)}",
        )
    sparsity = furthest(lambda s: cost(s) <= limit, MOST, 0.0, CLOSE)
    return {"sparsity": sparsity, "cost": cost(sparsity), "dense_cost": dense}


def _told(amount: float, target: Target) -> str:
    return f"{amount / 1e6:.4g} MB" if target.kind == "size" else f"{amount / 1e9:.4g} GFLOP"
