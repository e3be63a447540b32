"""Weights of denoising steps: how much each step's inputs count in a Hessian.

OBS-Diff (arXiv 2510.06751), eq. 4. `t` counts inference steps: 1 is the first, with most noise.
"""

from __future__ import annotations

import math
from enum import StrEnum

A_MIN, A_MAX = 0.8, 1.2


class Weighting(StrEnum):
    """How the weight runs from the first step to the last."""

    LOG_DECREASE = "log_decrease"
    LOG_INCREASE = "log_increase"
    LINEAR_DECREASE = "linear_decrease"
    LINEAR_INCREASE = "linear_increase"
    UNIFORM = "uniform"


def step_weights(
    steps: int,
    weighting: Weighting = Weighting.LOG_DECREASE,
    a_min: float = A_MIN,
    a_max: float = A_MAX,
) -> list[float]:
    """alpha_1 .. alpha_T of a trajectory of T evaluations of the denoiser.

    Only the ratio a_max / a_min matters to a pruned layer: damping is relative to the Hessian. One
    step alone is both the first and the last; it weighs what the first does.

    Parameters
    ----------
    steps : T, the length of the scheduler's `timesteps`, which may differ from the steps asked for.

    Raises
    ------
    ValueError : `steps` is not positive, or not 0 < a_min <= a_max.
    """
    if steps < 1 or not 0 < a_min <= a_max:
        raise ValueError(f"no weights for {steps} steps between {a_min} and {a_max}")
    if weighting == Weighting.UNIFORM:
        return [1.0] * steps
    last = max(steps - 1, 1)
    if weighting in (Weighting.LOG_DECREASE, Weighting.LOG_INCREASE):
        shares = [math.log(steps - t) / math.log(steps) if t else 1.0 for t in range(steps)]
    else:
        shares = [1 - t / last for t in range(steps)]
    if weighting in (Weighting.LOG_INCREASE, Weighting.LINEAR_INCREASE):
        shares.reverse()
    return [a_min + (a_max - a_min) * share for share in shares]
