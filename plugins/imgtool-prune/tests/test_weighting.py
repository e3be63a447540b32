"""Weights of denoising steps (oracle T8)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from imgtool_prune.weighting import Weighting, step_weights


def test_log_decrease_has_the_values_of_the_paper_at_25_steps() -> None:
    alpha = step_weights(25)

    assert [round(alpha[t - 1], 4) for t in (1, 2, 6, 13, 21, 24, 25)] == [
        1.2, 1.1949, 1.1723, 1.1187, 1.0, 0.8861, 0.8,
    ]  # fmt: skip
    assert sum(alpha) / 25 == pytest.approx(1.0883, abs=5e-5)
    assert all(later < earlier for earlier, later in pairwise(alpha))


@pytest.mark.parametrize("weighting", [Weighting.LOG_DECREASE, Weighting.LINEAR_DECREASE])
def test_short_trajectories_begin_with_the_largest_weight(weighting: Weighting) -> None:
    assert step_weights(1, weighting) == [1.2]
    assert step_weights(2, weighting) == pytest.approx([1.2, 0.8])


def test_increase_is_decrease_backwards() -> None:
    for falls, rises in (
        (Weighting.LOG_DECREASE, Weighting.LOG_INCREASE),
        (Weighting.LINEAR_DECREASE, Weighting.LINEAR_INCREASE),
    ):
        assert step_weights(9, rises) == step_weights(9, falls)[::-1]
    assert step_weights(3, Weighting.LINEAR_DECREASE) == pytest.approx([1.2, 1.0, 0.8])
    assert step_weights(3, Weighting.UNIFORM) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("steps", "low", "high"), [(0, 0.8, 1.2), (5, 1.2, 0.8), (5, 0.0, 1.0)])
def test_weights_that_make_no_sense_are_refused(steps: int, low: float, high: float) -> None:
    with pytest.raises(ValueError, match="no weights"):
        step_weights(steps, a_min=low, a_max=high)
