"""Damping and factors."""

from __future__ import annotations

import pytest
import torch
from layers import generator, hessian

from imgtool_prune.factor import NotPositiveDefinite, damp


def test_the_factor_is_that_of_the_inverse() -> None:
    damped = damp(hessian(24))
    upper = damped.upper()

    torch.testing.assert_close(upper.T @ upper, torch.linalg.inv(damped.matrix))
    torch.testing.assert_close(damped.inverse(), torch.linalg.inv(damped.matrix))
    torch.testing.assert_close(upper, upper.triu())


def test_a_pivot_is_the_denominator_with_the_columns_before_frozen() -> None:
    damped = damp(hessian(12))
    pivots = damped.upper().diagonal().square()

    for j in range(12):
        torch.testing.assert_close(pivots[j], torch.linalg.inv(damped.matrix[j:, j:])[0, 0])


def test_damping_is_relative_to_the_mean_diagonal_after_dead_channels_are_set() -> None:
    matrix = torch.diag(torch.tensor([3.0, 0.0, 5.0], dtype=torch.float64))
    damped = damp(matrix, 0.1)

    assert damped.dead.tolist() == [False, True, False]
    torch.testing.assert_close(damped.matrix.diagonal(), torch.tensor([3.3, 1.3, 5.3]).double())
    assert matrix[1, 1] == 0


def test_damping_is_raised_until_there_is_a_factor() -> None:
    values = torch.tensor([1.0, 1.0, -0.05], dtype=torch.float64)
    basis = torch.linalg.qr(hessian(3)).Q
    damped = damp(basis @ torch.diag(values) @ basis.T)

    assert (damped.retries, damped.damping) == (1, pytest.approx(0.1))


def test_a_matrix_far_from_positive_is_refused() -> None:
    with pytest.raises(NotPositiveDefinite, match="damping 10"):
        damp(torch.tensor([[1.0, 0.0], [0.0, -1e6]]))


def test_a_hessian_with_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        damp(torch.full((2, 2), torch.nan))


def test_the_effective_rank_is_that_of_inputs_where_damping_is_small() -> None:
    spread = torch.randn(12, 30, generator=generator(2), dtype=torch.float64)
    matrix = spread.T @ hessian(12) @ spread
    matrix[3], matrix[:, 3] = 0, 0
    damped, heavy = damp(matrix, 1e-9), damp(matrix, 10.0)
    whole = torch.trace(matrix @ heavy.inverse())

    assert damped.effective_rank(float(damped.inverse().trace())) == pytest.approx(12, abs=0.01)
    assert heavy.effective_rank(float(heavy.inverse().trace())) == pytest.approx(float(whole))
