"""Rewards that weigh the length of plans: TargetLength and ShortCoTI, arXiv 2510.05593.

In the paper's symbols: R, the reward of a picture; L, the length of its plan; L_T, the length that
costs nothing; alpha, the weight of the penalty; s_q, how easy the prompt is by its own draws. The
paper's formula for p is not public: `over` and `linear` are two readings of what is. CapLength
changes no reward: it cuts, see `lengths.cut`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Shape: TypeAlias = Literal["over", "linear"]


@dataclass(frozen=True)
class Penalty:
    """What length costs.

    Attributes
    ----------
    alpha : weight, in units of the reward.
    target : L_T, > 0.
    shape : p(L): `over`, (L - L_T) / L_T where that is positive; `linear`, L / L_T.
    least_ease : s_q is never below it; above 0, hard prompts lose their plans in training.
    gate : normalised reward below which a sample is not penalised; None: all are.
    """

    alpha: float = 0.1
    target: float = 50.0
    shape: Shape = "over"
    least_ease: float = 0.0
    gate: float | None = None

    def of(self, length: float) -> float:
        """p(L), not below 0."""
        if self.shape == "linear":
            return length / self.target
        return max(0.0, length - self.target) / self.target


def target_length(
    rewards: Sequence[float | None], lengths: Sequence[float], penalty: Penalty
) -> list[float | None]:
    """R - alpha p(L) of each; a reward that is missing stays missing."""
    return [
        None if reward is None else reward - penalty.alpha * penalty.of(length)
        for reward, length in zip(rewards, lengths, strict=True)
    ]


def short_coti(
    rewards: Sequence[float | None],
    lengths: Sequence[float],
    penalty: Penalty,
    normal: Sequence[float | None] | None = None,
) -> list[float | None]:
    """R - alpha s_q p(L) of each draw of one prompt; a reward that is missing stays missing.

    Parameters
    ----------
    normal : rewards scaled to 0 to 1 for prompts of this kind; None: `rewards` are.
    """
    normal = rewards if normal is None else normal
    weight = penalty.alpha * max(ease(normal), penalty.least_ease)
    made: list[float | None] = []
    for reward, scaled, length in zip(rewards, normal, lengths, strict=True):
        if reward is None:
            made.append(None)
            continue
        spared = penalty.gate is not None and (scaled is None or scaled < penalty.gate)
        made.append(reward if spared else reward - weight * penalty.of(length))
    return made


def ease(normal: Sequence[float | None]) -> float:
    """s_q: the mean of the normalised rewards that there are; 0 where there are none."""
    there = [value for value in normal if value is not None]
    return sum(there) / len(there) if there else 0.0


def scaled_to_one(reward: float, low: float, high: float) -> float:
    """`reward` from the range `low` to `high`, `low` < `high`, to 0 to 1; beyond it, its ends."""
    return min(max((reward - low) / (high - low), 0.0), 1.0)


def best_of(values: Sequence[float | None], lengths: Sequence[float], near: float) -> int | None:
    """Index of the greatest value; of those within `near` of it the shortest, then the first.

    None where every value is missing.
    """
    there = [value for value in values if value is not None]
    if not there:
        return None
    least = max(there) - near
    close = [at for at, value in enumerate(values) if value is not None and value >= least]
    return min(close, key=lambda at: lengths[at])
