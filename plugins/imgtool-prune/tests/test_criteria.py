"""Magnitude and Wanda, and the order of criteria (oracle T5)."""

from __future__ import annotations

import pytest
import torch
from layers import hessian, squared_error, weight

from imgtool_prune.criteria import magnitude_mask, output_error, wanda_mask
from imgtool_prune.factor import damp
from imgtool_prune.obs import prune_columns
from imgtool_prune.patterns import SemiStructured, Unstructured

W = torch.tensor([[1.0, -2.0, 3.0, 0.5], [-4.0, 5.0, 0.1, -6.0]])
ENERGY = torch.tensor([16.0, 1.0, 0.25, 4.0])


def test_magnitude_prunes_the_smallest_of_the_matrix() -> None:
    assert magnitude_mask(W, Unstructured(0.5)).tolist() == [
        [True, True, False, True],
        [False, False, True, False],
    ]


def test_wanda_weighs_by_the_input_and_prunes_each_row_alike() -> None:
    assert wanda_mask(W, ENERGY, Unstructured(0.5)).tolist() == [
        [False, False, True, True],
        [False, True, True, False],
    ]
    assert wanda_mask(W, ENERGY, Unstructured(0.7)).sum(1).tolist() == [2, 2]


def test_both_prune_in_groups() -> None:
    pattern = SemiStructured(1, 2)

    assert magnitude_mask(W, pattern).tolist() == [[True, False, False, True],
                                                   [True, False, True, False]]  # fmt: skip
    assert wanda_mask(W, ENERGY, pattern).tolist() == [[False, True, False, True],
                                                       [False, True, True, False]]  # fmt: skip
    with pytest.raises(ValueError, match="no multiple of 3"):
        magnitude_mask(W, SemiStructured(1, 3))
    with pytest.raises(ValueError, match="no multiple of 3"):
        wanda_mask(W, ENERGY, SemiStructured(1, 3))


def test_the_output_error_is_half_the_trace() -> None:
    change, matrix = weight(5, 8), hessian(8)
    trace = squared_error(change, torch.zeros_like(change), matrix)

    assert output_error(change, matrix) == pytest.approx(trace / 2)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_repair_beats_wanda_and_wanda_beats_magnitude_in_every_layer(share: float) -> None:
    pattern = Unstructured(share)
    for seed in range(30):
        w, matrix = weight(48, 64, seed), hessian(64, seed)
        damped = damp(matrix)
        (obs,) = prune_columns([w], damped.upper(), damped.dead, [pattern], 16)
        wanda = wanda_mask(w, matrix.diagonal(), pattern)
        changes = (obs.weight - w, w * wanda, w * magnitude_mask(w, pattern))
        errors = [output_error(change, matrix) for change in changes]

        assert errors[0] < errors[1] < errors[2]
