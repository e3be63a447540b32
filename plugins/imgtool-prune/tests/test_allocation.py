"""A budget of zeros over layers."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

import pytest
import torch
from layers import layer

from imgtool_prune.allocation import ErrorCurve, allocate, saliency_curve
from imgtool_prune.factor import damp
from imgtool_prune.obs import prune_columns
from imgtool_prune.patterns import Unstructured

if TYPE_CHECKING:
    from collections.abc import Iterator

GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
CURVES = [
    ErrorCurve(100, GRID, (0.0, 0.1, 0.5, 2.0, 6.0)),
    ErrorCurve(400, GRID, (0.0, 0.1, 0.3, 0.9, 9.0)),
    ErrorCurve(50, GRID, (0.0, 0.4, 1.0, 1.8, 3.0)),
]
SIZES = torch.tensor([curve.size for curve in CURVES])


def error(curve: ErrorCurve, sparsity: float) -> float:
    for (a, at_a), (b, at_b) in pairwise(curve.hull()):
        if a <= sparsity <= b:
            return at_a + (at_b - at_a) * (sparsity - a) / (b - a)
    raise AssertionError(sparsity)


def summed_error(shares: list[float]) -> float:
    return sum(error(curve, min(share, 1.0)) for curve, share in zip(CURVES, shares, strict=True))


def ways_to_spend(sparsity: float, low: float, high: float) -> Iterator[list[float]]:
    """Shares on a fine grid that meet the budget within the bounds."""
    steps = [low + (high - low) * step / 40 for step in range(41)]
    for first, second in product(steps, steps):
        left = sparsity * float(SIZES.sum()) - float(SIZES[0] * first + SIZES[1] * second)
        third = left / float(SIZES[2])
        if low <= third <= high:
            yield [first, second, third]


@pytest.mark.parametrize(
    ("sparsity", "low", "high"),
    [(0.5, 0.0, 1.0), (0.5, 0.3, 0.7), (0.8, 0.6, 0.9), (0.1, 0.0, 0.2)],
)
def test_the_budget_is_spent_at_the_least_error(sparsity: float, low: float, high: float) -> None:
    shares = allocate(CURVES, sparsity, low, high)

    assert all(low <= share <= high + 1e-12 for share in shares)
    assert float((torch.tensor(shares) * SIZES).sum() / SIZES.sum()) == pytest.approx(sparsity)
    spent = summed_error(shares)
    others = [summed_error(other) for other in ways_to_spend(sparsity, low, high)]
    assert others
    assert spent <= min(others) + 1e-9


def test_equal_layers_get_equal_shares_up_to_one_piece() -> None:
    curve = ErrorCurve(10, GRID, (0.0, 1.0, 3.0, 6.0, 10.0))

    assert allocate([curve, curve], 0.5) == [0.5, 0.5]


def test_a_bump_in_a_curve_is_cut_off() -> None:
    bump = ErrorCurve(10, GRID, (0.0, 3.0, 2.0, 2.5, 4.0))

    assert bump.hull() == [(0.0, 0.0), (0.75, 2.5), (1.0, 4.0)]


@pytest.mark.parametrize(("low", "high"), [(0.6, 0.9), (0.0, 0.4)])
def test_bounds_without_room_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="no layer may be"):
        allocate(CURVES, 0.5, low, high)


def test_a_budget_beyond_the_curves_is_refused() -> None:
    with pytest.raises(ValueError, match=r"end before 0\.9"):
        allocate([ErrorCurve(10, (0.0, 0.5), (0.0, 1.0))], 0.9)


@pytest.mark.parametrize(
    ("sparsities", "errors"),
    [((0.0, 0.5, 0.5), (0.0, 1.0, 2.0)), ((0.1, 0.5), (0.0, 1.0)), ((0.0, 0.5), (0.0,))],
)
def test_curves_that_are_none_are_refused(
    sparsities: tuple[float, ...], errors: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="an error curve"):
        ErrorCurve(10, sparsities, errors)


def test_saliencies_add_up_to_the_error_of_one_pruned_weight() -> None:
    w, damped = layer(1, 24)
    upper = damped.upper()
    curve = saliency_curve(w, upper, energy=1.0, points=24)
    (pruned,) = prune_columns([w], upper, damped.dead, [Unstructured(1 / 24)])

    assert curve.errors[1] == pytest.approx(pruned.damped_error)
    assert curve.sparsities[-1] == 1.0
    assert len(curve.errors) == 25


def test_a_layer_whose_inputs_matter_less_is_pruned_more() -> None:
    w, damped = layer(20, 24)
    loud, quiet = (saliency_curve(w, damp(scale * damped.matrix).upper(), 1.0) for scale in (4, 1))
    much, little = allocate([quiet, loud], 0.5)

    assert much > 0.5 > little
    assert allocate([loud, loud], 0.5)[0] == pytest.approx(0.5, abs=1 / 64)
