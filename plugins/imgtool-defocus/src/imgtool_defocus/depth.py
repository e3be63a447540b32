"""Depth maps of every kind as metres without holes, and the distance of what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate

from imgtool_defocus.fill import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

METRIC, RELATIVE, DISPARITY, LOGDEPTH = "metric", "relative", "disparity", "logdepth"
KINDS = (METRIC, RELATIVE, DISPARITY, LOGDEPTH)
TO_SPACE: Mapping[str, Callable[[Tensor], Tensor]] = {
    RELATIVE: lambda metres: metres,
    DISPARITY: torch.reciprocal,
    LOGDEPTH: torch.log1p,
}
"""From metres to where a map of a kind is affine."""
TO_METRES: Mapping[str, Callable[[Tensor], Tensor]] = {
    RELATIVE: lambda depth: depth,
    DISPARITY: lambda inverse: 1.0 / inverse.clamp_min(LEAST_SPAN),
    LOGDEPTH: torch.expm1,
}
TRIMMED = 0.02
"""Share of a relative map, at either end, that says nothing about its range."""
MOST_ASPECT, MOST_HOLES = 0.01, 0.5
CLUSTER = 0.05
"""Depths that differ by this share are one thing."""
LEAST_SPAN = 1e-6


def kind_of(values: Tensor, said: str) -> str:
    """The kind that was `said`; where none was, `relative` for values up to 1, else `metric`.

    Raises
    ------
    ValueError : there is no such kind.
    """
    if said in KINDS:
        return said
    if said:
        raise ValueError(f"depth_kind {said!r} is none of {', '.join(KINDS)}")
    finite = values[values.isfinite()]
    return METRIC if finite.numel() and float(finite.max()) > 1.0 else RELATIVE


def fitted(values: Tensor, height: int, width: int) -> Tensor:
    """`values`, [h, w], at another size: each pixel the nearest, so that edges stay edges.

    Raises
    ------
    ValueError : the shapes differ by more than rounding.
    """
    h, w = values.shape
    if abs(w * height / (h * width) - 1.0) > MOST_ASPECT:
        raise ValueError(f"the depth is {w}×{h} and the picture {width}×{height} pixels")
    return interpolate(values[None, None], size=(height, width), mode="nearest-exact")[0, 0]


def known(values: Tensor, kind: str) -> Tensor:
    """Where a map of `kind` is a depth: finite and, in metres, positive."""
    finite = values.isfinite()
    return finite & (values > 0) if kind == METRIC else finite


def metres(values: Tensor, kind: str, near_m: float, far_m: float) -> tuple[Tensor, float]:
    """Metres > 0 of a map of `kind`, and the share of its pixels that was filled from others.

    Of values without holes the shape does not matter.

    A `relative` map runs from `near_m` to `far_m` in depth, a `disparity` map, larger nearer, in
    inverse depth, a `logdepth` map in log(1 + depth).

    Raises
    ------
    ValueError : more than half of the values are no depth.
    """
    here = known(values, kind)
    holes = 1.0 - float(here.double().mean())
    if holes > MOST_HOLES:
        raise ValueError(f"{holes:.0%} of the depth is not finite and positive")
    if holes:
        values = filled(values, here)
    if kind == METRIC:
        return values, holes
    low, high = robust_range(values)
    share = ((values - low) / max(high - low, LEAST_SPAN)).clamp(0.0, 1.0)
    ends = TO_SPACE[kind](values.new_tensor([near_m, far_m]))
    first, last = ends.flip(0) if kind == DISPARITY else ends
    return TO_METRES[kind](torch.lerp(first, last, share)), holes


def robust_range(values: Tensor) -> tuple[float, float]:
    """Quantiles of the finite values, `TRIMMED` from either end; a map of none gives zeros."""
    flat = values[values.isfinite()]
    if not flat.numel():
        return 0.0, 0.0
    trimmed = int(TRIMMED * (flat.numel() - 1))
    low, high = flat.kthvalue(trimmed + 1).values, flat.kthvalue(flat.numel() - trimmed).values
    return float(low), float(high)


def distance_at(depth: Tensor, x: float, y: float) -> float:
    """Metres to what is at x, y, pixels: of the most pixels near it that lie together in depth.

    Raises
    ------
    ValueError : the place is outside the picture.
    """
    height, width = depth.shape
    if not (0 <= x <= width and 0 <= y <= height):
        raise ValueError(f"the focus at {x:g},{y:g} is outside a picture of {width}×{height}")
    reach = max(1, round(min(height, width) / 200))
    column, row = min(int(x), width - 1), min(int(y), height - 1)
    rows = slice(max(0, row - reach), row + reach + 1)
    return largest_cluster(depth[rows, max(0, column - reach) : column + reach + 1])


def distance_of_middle(depth: Tensor) -> float:
    """Metres to what takes most of the picture's middle third."""
    height, width = depth.shape
    return largest_cluster(
        depth[height // 3 : height - height // 3, width // 3 : width - width // 3]
    )


def largest_cluster(depth: Tensor) -> float:
    """Median of the most depths that lie within `CLUSTER` of one another.

    Never a mean, which on an edge is a depth where nothing is.
    """
    ordered = depth.flatten().sort().values
    ends = torch.searchsorted(ordered, ordered * (1.0 + CLUSTER), right=True)
    starts = torch.arange(len(ordered), device=depth.device)
    first = int((ends - starts).argmax())
    return float(ordered[(first + int(ends[first]) - 1) // 2])
