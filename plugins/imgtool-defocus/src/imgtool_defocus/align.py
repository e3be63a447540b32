"""A map without units made metric by a second map that has them.

A line is fitted in the space in which the map is affine: inverse depth for `disparity`, depth for
`relative`, log(1 + depth) for `logdepth`. By RANSAC (Fischler & Bolles 1981), then least squares on
what agrees, so that what the two maps see differently does not bend the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from imgtool_defocus.depth import TO_METRES, TO_SPACE, robust_range

if TYPE_CHECKING:
    from torch import Tensor

TRIALS, JUDGED = 1000, 4096
TOLERANCE = 0.05
"""Error of a pixel that agrees, as a share of the metric map's range in that space."""


@dataclass(frozen=True)
class Fit:
    """A line and what it gives.

    Attributes
    ----------
    metres : [H, W], within the range of the metric map.
    scale, shift : of the line, in the space of the map's kind.
    agreeing : share of the pixels near the line.
    """

    metres: Tensor
    scale: float
    shift: float
    agreeing: float


def aligned(values: Tensor, kind: str, metric: Tensor, generator: torch.Generator) -> Fit:
    """`values` in metres, by the line on which they agree with `metric`; both [H, W].

    Raises
    ------
    ValueError : the maps have nothing in common, or run opposite ways.
    """
    known = values.isfinite() & metric.isfinite() & (metric > 0)
    ours, theirs = values[known].double(), TO_SPACE[kind](metric[known].double())
    if len(ours) < 2:
        raise ValueError("the metric map has no depth where the other one has")
    low, high = robust_range(theirs)
    near = _agreeing(ours, theirs, TOLERANCE * (high - low), generator)
    scale, shift = _line(ours[near], theirs[near])
    if not scale > 0:
        raise ValueError("the map and the metric one run opposite ways or have nothing in common")
    metres = TO_METRES[kind](values.double() * scale + shift)
    nearest, farthest = metric[known].aminmax()
    limited = metres.clamp(float(nearest), float(farthest))
    return Fit(limited.to(values.dtype), scale, shift, float(near.double().mean()))


def _agreeing(ours: Tensor, theirs: Tensor, within: float, generator: torch.Generator) -> Tensor:
    """Where the best of `TRIALS` lines through two pixels each is right."""
    pairs = torch.randint(len(ours), (2, TRIALS), generator=generator).to(ours.device)
    (one, two), (at_one, at_two) = ours[pairs], theirs[pairs]
    scales = (at_two - at_one) / (two - one)
    shifts = at_one - scales * one
    # Two equal values give no line, and a line that falls is none of these maps'.
    usable = scales.isfinite() & (scales > 0)
    if not usable.any():
        raise ValueError("the map and the metric one run opposite ways or have nothing in common")
    scales, shifts = scales[usable], shifts[usable]
    judges = torch.randint(len(ours), (JUDGED,), generator=generator).to(ours.device)
    errors = (scales[:, None] * ours[judges] + shifts[:, None] - theirs[judges]).abs()
    best = int((errors <= within).sum(1).argmax())
    return (scales[best] * ours + shifts[best] - theirs).abs() <= within


def _line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Scale and shift of the least squares."""
    across = x - x.mean()
    scale = float((across * y).sum() / across.square().sum())
    return scale, float(y.mean()) - scale * float(x.mean())
