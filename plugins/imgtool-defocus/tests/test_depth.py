"""Depth maps of every kind, with holes and of other sizes, and where the focus falls."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from imgtool_defocus import depth
from imgtool_defocus.fill import NONE, filled, nearest
from imgtool_defocus.units import Focus, focus_of, metres_of, sensor_of


def values(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


RAMP = torch.linspace(0, 1, 101, dtype=torch.float64).expand(3, 101)


def test_metres_stay_as_they_are() -> None:
    assert torch.equal(depth.metres(RAMP + 1, "metric", 1, 20)[0], RAMP + 1)


@pytest.mark.parametrize(("kind", "first", "middle", "last"), [
    ("relative", 2.0, 6.0, 10.0),
    ("disparity", 10.0, 20 / 6, 2.0),
    ("logdepth", 2.0, 33**0.5 - 1, 10.0),
])  # fmt: skip
def test_maps_without_units_run_from_near_to_far(
    kind: str, first: float, middle: float, last: float
) -> None:
    found, holes = depth.metres(RAMP, kind, 2.0, 10.0)

    assert found[0, [0, 50, 100]].tolist() == pytest.approx([first, middle, last])
    assert holes == 0


def test_a_map_that_says_no_kind_is_metric_beyond_one() -> None:
    assert depth.kind_of(RAMP, "") == "relative"
    assert depth.kind_of(RAMP * 3, "") == "metric"
    assert depth.kind_of(RAMP * 3, "disparity") == "disparity"
    with pytest.raises(ValueError, match="'inverse' is none of metric, relative, disparity"):
        depth.kind_of(RAMP, "inverse")


def test_holes_take_the_nearest_depth_and_are_counted() -> None:
    holey = values([1, math.nan, math.inf, 4, 0], [1, 1, 4, 4, 4])
    found, holes = depth.metres(holey, "metric", 1, 20)

    assert found.tolist() == [[1, 1, 4, 4, 4], [1, 1, 4, 4, 4]]
    assert holes == pytest.approx(0.3)


def test_a_map_that_is_mostly_holes_is_refused() -> None:
    with pytest.raises(ValueError, match="67% of the depth is not finite and positive"):
        depth.metres(values([1, math.nan, -1]), "metric", 1, 20)


def test_an_even_map_is_one_distance() -> None:
    found, _ = depth.metres(torch.full((4, 4), 0.3, dtype=torch.float64), "relative", 1, 20)

    assert found.unique().numel() == 1


def test_another_size_keeps_edges_and_another_shape_is_refused() -> None:
    assert depth.fitted(values([1, 9]), 2, 4).tolist() == [[1, 1, 9, 9]] * 2
    with pytest.raises(ValueError, match="the depth is 2×1 and the picture 4×4 pixels"):
        depth.fitted(values([1, 9]), 4, 4)


def test_the_focus_is_on_a_thing_and_never_between_two() -> None:
    step = torch.where(torch.arange(300) < 148, 1.0, 10.0).double().expand(300, 300)

    assert depth.distance_at(step, 148.0, 150.0) == 10.0
    assert depth.distance_of_middle(step) == 10.0
    assert depth.distance_at(step, 3.0, 3.0) == 1.0
    with pytest.raises(ValueError, match="the focus at 301,0 is outside a picture of 300×300"):
        depth.distance_at(step, 301.0, 0.0)


def test_the_nearest_pixel_is_found_as_by_looking_at_all() -> None:
    draw = torch.Generator().manual_seed(2)
    known = torch.rand(23, 31, generator=draw) < 0.03
    found = nearest(known, torch.full(known.shape, 60.0))
    y, x = torch.meshgrid(torch.arange(23.0), torch.arange(31.0), indexing="ij")
    every = torch.stack([torch.hypot(y - a, x - b) for a, b in known.nonzero().tolist()]).amin(0)
    ours = torch.hypot(found // 31 - y, found % 31 - x)

    assert (ours - every).abs().max() < 1.0
    assert (ours == every).float().mean() > 0.98


def test_nothing_beyond_its_reach_is_found() -> None:
    known = torch.zeros(9, 9, dtype=torch.bool)
    known[4, 4] = True
    found = nearest(known, torch.full((9, 9), 3.0)) != NONE

    assert int(found.sum()) == 29  # places within 3 pixels
    assert filled(torch.arange(81.0).reshape(9, 9), known).unique().tolist() == [40.0]


@pytest.mark.parametrize(("text", "metres"), [
    ("1.2", 1.2), ("1.2m", 1.2), ("85mm", 0.085), ("8.5cm", 0.085), ("8ft", 2.4384),
])  # fmt: skip
def test_lengths_are_read_with_their_units(text: str, metres: float) -> None:
    assert metres_of(text) == pytest.approx(metres)


def test_a_focus_is_a_distance_a_place_or_left_open() -> None:
    assert focus_of("auto") == Focus()
    assert focus_of("inf") == Focus(math.inf)
    assert focus_of("85mm").metres == pytest.approx(0.085)
    assert focus_of("640, 300") == Focus(None, (640.0, False), (300.0, False))
    assert focus_of("40%,55%") == Focus(None, (0.4, True), (0.55, True))


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "2 miles", "1,", "a,b", "101%,5%", "1e400"])
def test_what_is_no_focus_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no length|is no place|is outside"):
        focus_of(text)


def test_sensors_go_by_name_size_or_crop() -> None:
    assert sensor_of("mft") == (17.3, 13.0)
    assert sensor_of("24x36mm") == (36.0, 24.0)
    assert sensor_of("crop=1.5") == (24.0, 16.0)
    for text in ("aps", "0x3", "crop=0", ""):
        with pytest.raises(ValueError, match="is no sensor"):
            sensor_of(text)
