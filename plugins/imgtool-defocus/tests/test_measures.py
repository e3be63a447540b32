"""Measures of depth: what a step in depth gives when it is moved, and when it is blurred."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from imgtool_defocus.measures import (
    absolute_relative,
    between_share,
    delta1,
    edge_band,
    edge_chamfer,
    flying_share,
)

SIZE, COLUMN, FOCAL = 64, 32, 64.0
STEP = torch.where(torch.arange(SIZE) < COLUMN, 1.0, 4.0).repeat(SIZE, 1)


def blurred(depth: torch.Tensor, sigma: float) -> torch.Tensor:
    """Along rows, reflected at the ends, out to four sigmas."""
    reach = int(4.0 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    rows = np.pad(depth.double().numpy(), ((0, 0), (reach, reach)), mode="symmetric")
    made = [np.convolve(row, kernel / kernel.sum(), mode="valid") for row in rows]
    return torch.from_numpy(np.stack(made))


@pytest.mark.parametrize(("made", "abs_rel", "share", "chamfer", "flying"), [
    (STEP, 0.0, 1.0, 0.0, 0.0),
    (STEP.roll(1, 1).where(torch.arange(SIZE) > 0, STEP), 0.01172, 0.98438, 0.00977, 0.0),
    (blurred(STEP, 0.5), 0.00627, 0.98438, 0.09074, 0.5),
    (blurred(STEP, 1.0), 0.02132, 0.96875, 0.36141, 0.75),
    (blurred(STEP, 2.0), 0.04576, 0.93750, 0.81147, 1.0),
])  # fmt: skip
def test_a_moved_edge_flies_nowhere_and_a_blurred_one_does(
    made: torch.Tensor, abs_rel: float, share: float, chamfer: float, flying: float
) -> None:
    true = STEP.double()
    band = edge_band(true)

    assert band.any(0).nonzero().flatten().tolist() == [30, 31, 32, 33]
    assert absolute_relative(made.double(), true) == pytest.approx(abs_rel, abs=1e-5)
    assert delta1(made.double(), true) == pytest.approx(share, abs=1e-5)
    assert edge_chamfer(made.double(), true, band, FOCAL) == pytest.approx(chamfer, abs=1e-5)
    assert flying_share(made.double(), true, band) == pytest.approx(flying)


def test_a_blurred_edge_flies_between_two_depths_and_a_wrong_distance_does_not() -> None:
    true = STEP.double()
    band = edge_band(true)
    blur, near = blurred(STEP, 2.0), true * 0.9

    assert between_share(blur, true, band) == flying_share(blur, true, band) == 1.0
    assert flying_share(near, true, band) == 1.0
    assert between_share(near, true, band) == pytest.approx(0.5)  # 4 m near 1 m, as 3.6 m


def test_a_map_without_edges_has_no_figures_there() -> None:
    flat = torch.full((8, 8), 2.0)
    band = edge_band(flat)

    assert not band.any()
    assert math.isnan(flying_share(flat, flat, band))
    assert math.isnan(between_share(flat, flat, band))
    assert math.isnan(edge_chamfer(flat, flat, band, FOCAL))


def test_a_slant_is_no_edge() -> None:
    assert not edge_band(torch.linspace(1.0, 2.0, 32).repeat(32, 1)).any()
