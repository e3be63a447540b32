"""How good a model of depth is on scenes that it did not see."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final

import torch

from imgtool_defocus.align import aligned
from imgtool_defocus.measures import (
    absolute_relative,
    between_share,
    delta1,
    edge_band,
    edge_chamfer,
    flying_share,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

FOCAL: Final = 35.0 / 24.0
"""Focal length of the tabletop's cameras, as a share of the picture's side."""


def errors(made: Tensor, true: Tensor) -> dict[str, float]:
    """Figures of one map in metres, [S, S]; NaN at edges where there are none."""
    band = edge_band(true)
    return {
        "abs_rel": absolute_relative(made, true),
        "delta1": delta1(made, true),
        "edge_chamfer_m": edge_chamfer(made, true, band, FOCAL * len(true)),
        "flying": flying_share(made, true, band),
        "between": between_share(made, true, band),
    }


def fitted_errors(made: Tensor, kind: str, true: Tensor, seed: int) -> dict[str, float]:
    """The same of a map of another kind, fitted to the truth by RANSAC.

    A map that runs the other way has the median depth everywhere.
    """
    generator = torch.Generator().manual_seed(seed)
    try:
        metres = aligned(made, kind, true, generator).metres
    except ValueError:
        metres = true.median().expand_as(true)
    return errors(metres, true)


def mean_of(all_errors: Iterable[dict[str, float]]) -> dict[str, float]:
    """Means over maps; those without edges do not count there."""
    listed = list(all_errors)
    return {
        name: statistics.fmean(
            [one[name] for one in listed if not math.isnan(one[name])] or [math.nan]
        )
        for name in listed[0]
    }
