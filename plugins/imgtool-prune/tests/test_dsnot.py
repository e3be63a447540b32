"""DSnoT against the same rules written for one row at a time."""

from __future__ import annotations

import pytest
import torch
from layers import inputs, weight

from imgtool_prune.criteria import row_mask
from imgtool_prune.dsnot import Channels, refine
from imgtool_prune.patterns import SemiStructured, Unstructured
from imgtool_prune.statistics import Moments


def channels(width: int) -> Channels:
    moments = Moments(width)
    moments.add((inputs(60, width) + 0.3).view(6, 10, width))
    return Channels(moments.summed(), moments.variance(), moments.diagonal())


def refine_row(
    w: list[float], pruned: set[int], known: Channels, group: int, cycles: int, keep_sign: bool
) -> set[int]:
    """One row, by the letter."""
    c = [value * float(s) for value, s in zip(w, known.summed, strict=True)]
    score = [abs(value) * float(h) ** 0.5 for value, h in zip(w, known.diagonal, strict=True)]
    pruned = set(pruned)
    for _ in range(cycles):
        eps = sum(c[j] for j in pruned)
        if abs(eps) <= 0.1:
            break
        ratio = {j: c[j] / float(known.variance[j]) for j in pruned}
        regrown = (
            max(ratio, key=ratio.__getitem__) if eps > 0 else min(ratio, key=ratio.__getitem__)
        )
        kept = [
            j
            for j in range(len(w))
            if j not in pruned and c[j] * eps < 0 and (not group or j // group == regrown // group)
        ]
        if not kept:
            break
        gone = min(kept, key=score.__getitem__)
        if keep_sign and (eps - c[regrown] + c[gone]) * eps <= 0:
            break
        pruned = pruned - {regrown} | {gone}
    return pruned


@pytest.mark.parametrize("keep_sign", [False, True])
@pytest.mark.parametrize("cycles", [1, 7, 50])
@pytest.mark.parametrize("group", [0, 4])
def test_rows_are_refined_together_as_each_alone(group: int, cycles: int, keep_sign: bool) -> None:
    w, known = weight(12, 24), channels(24)
    pattern = SemiStructured(2, 4) if group else Unstructured(0.5)
    start = row_mask(w.abs(), pattern)
    mask = refine(w, start, known, group, cycles, keep_sign=keep_sign)

    for row in range(12):
        before = set(start[row].nonzero().flatten().tolist())
        alone = refine_row(w[row].tolist(), before, known, group, cycles, keep_sign)
        assert set(mask[row].nonzero().flatten().tolist()) == alone
    assert mask.sum(1).equal(start.sum(1))
    assert not mask.equal(start)
    if group:
        assert (mask.view(12, -1, 4).sum(-1) == 2).all()


def test_a_row_with_little_error_is_left_alone() -> None:
    w, known = weight(3, 8), channels(8)
    start = row_mask(w.abs(), Unstructured(0.5))

    assert refine(w, start, known, threshold=1e9).equal(start)


def test_channels_that_never_vary_do_no_harm() -> None:
    w = weight(3, 8)
    start = row_mask(w.abs(), Unstructured(0.5))
    known = Channels(torch.ones(8).double(), torch.zeros(8).double(), torch.ones(8).double())

    assert refine(w, start, known).sum(1).tolist() == [4, 4, 4]


@pytest.mark.parametrize("full", [False, True])
def test_nothing_to_swap_changes_nothing(full: bool) -> None:
    mask = torch.full((3, 8), full)

    assert refine(weight(3, 8), mask, channels(8)).equal(mask)
