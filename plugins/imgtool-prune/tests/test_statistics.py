"""Accumulators: sums over calls, batches and steps (oracle T7)."""

from __future__ import annotations

import pytest
import torch
from layers import generator, inputs

from imgtool_prune import statistics
from imgtool_prune.statistics import Hessian, Moments

FLOAT = torch.float64


def test_uniform_weights_give_the_running_mean_of_sparsegpt() -> None:
    calls = [inputs(20, 8, seed).view(4, 5, 8) for seed in range(3)]
    gathered, mean, seen = Hessian(8, FLOAT), torch.zeros(8, 8, dtype=FLOAT), 0
    for call in calls:
        gathered.add(call)
        flat = call.reshape(-1, 8).T
        mean *= seen / (seen + 4)
        seen += 4
        mean += 2 / seen * flat @ flat.T

    torch.testing.assert_close(gathered.matrix(), mean, rtol=1e-9, atol=0)


def test_any_split_into_calls_gives_the_direct_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "CHUNK", 7)
    x, alphas = inputs(60, 6).view(12, 5, 6), torch.rand(12, generator=generator(1)) + 0.5
    alphas[3:8] = alphas[3]
    gathered = Hessian(6, FLOAT)
    for rows, alpha in ((slice(3, 8), alphas[3]), *((slice(i, i + 1), alphas[i]) for i in range(3)),
                        *((slice(i, i + 1), alphas[i]) for i in range(8, 12))):  # fmt: skip
        gathered.add(x[rows], float(alpha))
    direct = torch.einsum("b,bti,btj->ij", alphas.double(), x, x) * 2 / alphas.double().sum()

    torch.testing.assert_close(gathered.matrix(), direct, rtol=1e-9, atol=1e-12)
    assert gathered.tokens == 60


def test_half_precision_inputs_are_weighed_after_they_are_widened() -> None:
    x = torch.full((1, 4), 60000.0, dtype=torch.float16)
    gathered = Hessian(4)
    gathered.add(x, alpha=1.2)

    assert torch.isfinite(gathered.matrix()).all()
    torch.testing.assert_close(gathered.matrix(), torch.full((4, 4), 2 * float(x[0, 0]) ** 2))


def test_moments_agree_with_the_hessian_and_with_numpy_formulas() -> None:
    x = inputs(40, 5).view(8, 5, 5)
    full, channels = Hessian(5, FLOAT), Moments(5)
    for accumulator in (full, channels):
        accumulator.add(x, 1.0)
    flat = x.reshape(-1, 5)

    torch.testing.assert_close(channels.diagonal(), full.matrix().diagonal())
    torch.testing.assert_close(channels.summed(), flat.sum(0) / 8)
    torch.testing.assert_close(channels.variance(), flat.var(0, correction=0))


def test_nothing_seen_is_a_hessian_of_zeros() -> None:
    assert not Hessian(3).matrix().any()
    assert Hessian(3).tokens == 0


def test_an_input_that_is_not_finite_is_refused() -> None:
    x = torch.ones(2, 3)
    x[1, 1] = torch.inf
    with pytest.raises(ValueError, match="not finite"):
        Hessian(3).add(x)


def test_an_input_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="width 4 for a layer of width 3"):
        Hessian(3).add(torch.ones(2, 4))
