"""The Fréchet distance between pictures and truth, in the features of a suite's judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imgtool_score.sets.comparing import gaussian
from imgtool_score.sets.frechet import frechet_distance
from imgtool_score.sets.moments import Moments
from imgtool_score.suites.bootstrap import of_prompts, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST = 2
DRAWS = 100


def distance_to(
    features: np.ndarray, truth: np.ndarray, items: Sequence[str]
) -> dict[str, Any] | None:
    """The distance with its interval and draws, as JSON values; None of fewer than two prompts.

    It shrinks as pictures grow in number: compare it at equal numbers alone.

    Parameters
    ----------
    features, truth : [N, D], [R, D] float64.
    items : the prompt of each of the N pictures; prompts are resampled, with all their seeds.
    """
    members = [np.flatnonzero(np.array(items) == item) for item in dict.fromkeys(items)]
    if len(members) < LEAST:
        return None
    reference = gaussian(Moments.of(truth))

    def value(chosen: Sequence[int]) -> float:
        rows = np.concatenate([members[at] for at in chosen])
        return frechet_distance(gaussian(Moments.of(features[rows])), reference)

    drawn = of_prompts(value, len(members), DRAWS)
    interval = spread(value(range(len(members))), drawn)
    return {
        "value": interval.value,
        "low": max(0.0, interval.low),
        "high": interval.high,
        "pictures": len(features),
        "truth": len(truth),
        "features": features.shape[1],
        "draws": drawn.tolist(),
    }
