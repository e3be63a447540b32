"""Depth on other grids, and maps without units made metric."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from imgtool_defocus.align import aligned
from imgtool_defocus.depth import TO_SPACE
from imgtool_defocus.resample import resampled

STEP = torch.tensor([[1.0, 1.0, 4.0, 4.0]]).expand(4, 4)


def ramp(height: int, width: int) -> Tensor:
    across = (torch.arange(width) + 0.5) / width
    return 2.0 + across.expand(height, width)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("kind", ["metric", "relative", "disparity"])
def test_no_depth_comes_to_lie_between_two_things(kind: str) -> None:
    made = resampled(STEP, kind, 13, 26)

    assert made.unique().tolist() == [1.0, 4.0]
    assert (made[:, :13] == 1.0).all()
    assert (made[:, 13:] == 4.0).all()


def test_one_thing_is_smooth_at_any_size() -> None:
    made = resampled(ramp(40, 40), "metric", 60, 100)[:, 2:-2]

    torch.testing.assert_close(made, ramp(60, 100)[:, 2:-2], rtol=0, atol=1e-5)


def test_a_map_of_the_same_size_stays_as_it_is() -> None:
    noise = torch.rand(7, 9, generator=generator()) + 1

    assert torch.equal(resampled(noise, "relative", 7, 9), noise)


def test_what_lies_outside_the_picture_is_left_out() -> None:
    padded = ramp(60, 100)
    made = resampled(padded, "relative", 30, 80, margin=(0.25, 0.1))

    torch.testing.assert_close(made, padded[15:45, 10:90], rtol=0, atol=1e-5)


def scene() -> Tensor:
    """Metres: a wall at 6, a floor that comes near, and a box."""
    depth = torch.full((40, 60), 6.0)
    depth[20:] = torch.linspace(6.0, 1.5, 20)[:, None]
    depth[10:30, 20:35] = 2.5
    return depth


@pytest.mark.parametrize("kind", ["relative", "disparity", "logdepth"])
def test_a_map_is_fitted_to_metres_in_the_space_where_it_is_affine(kind: str) -> None:
    fit = aligned((TO_SPACE[kind](scene()) - 0.03) / 0.7, kind, scene(), generator())

    torch.testing.assert_close(fit.metres, scene(), rtol=1e-5, atol=0)
    assert (fit.scale, fit.shift) == pytest.approx((0.7, 0.03), rel=1e-4)
    assert fit.agreeing == 1.0


def test_what_the_two_maps_see_differently_does_not_bend_the_line() -> None:
    seen = scene()
    seen[:, 45:] = 20.0  # a quarter of the picture, a window for one model
    map_ = 1.0 / scene()
    fit = aligned(map_, "disparity", seen, generator())
    everything = torch.linalg.lstsq(
        torch.stack([map_.flatten(), torch.ones(map_.numel())], 1), (1.0 / seen).flatten()[:, None]
    ).solution

    assert fit.scale == pytest.approx(1.0, rel=1e-3)
    assert fit.agreeing == pytest.approx(0.75)
    assert abs(float(everything[0]) - 1.0) > 0.05  # least squares over all is bent


def test_nothing_is_put_beyond_what_the_metric_map_shows() -> None:
    map_ = 1.0 / scene()
    map_[0, 0] = -5.0  # the sky of a relative model

    assert aligned(map_, "disparity", scene(), generator()).metres[0, 0] == 6.0


@pytest.mark.parametrize("map_", [-1.0 / scene(), torch.ones(40, 60)])
def test_maps_that_do_not_go_together_are_refused(map_: Tensor) -> None:
    with pytest.raises(ValueError, match="run opposite ways or have nothing in common"):
        aligned(map_, "disparity", scene(), generator())


def test_holes_are_no_part_of_the_fit() -> None:
    metric = scene()
    metric[:5] = float("nan")
    fit = aligned(1.0 / scene(), "disparity", metric, generator())

    torch.testing.assert_close(fit.metres, scene(), rtol=1e-5, atol=0)
    with pytest.raises(ValueError, match="no depth where"):
        aligned(1.0 / scene(), "disparity", metric * float("nan"), generator())
