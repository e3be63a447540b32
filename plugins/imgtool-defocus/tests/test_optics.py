"""Blur discs in numbers: a table worked out by hand, and laws that the thin lens keeps."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imgtool_defocus.optics import Lens, circle_of_confusion, depth_of_field

INF = math.inf
# f mm, N, s m, z m, sensor mm, width px, disc px
TABLE = [
    (50, 1.8, 2, 4, 36, 1024, 10.1298),
    (85, 1.8, 2, 10, 36, 1024, 47.6962),
    (85, 1.8, 2, 1.5, 36, 3840, 74.5254),
    (35, 2.8, 3, INF, 23.5, 1024, 6.4296),
    (24, 22, 2, INF, 36, 1024, 0.3769),
    (85, 22, 2, 10, 36, 1024, 3.9024),
    (50, 1.8, INF, 2, 36, 1024, 19.7531),
]


def disc(lens: Lens, depth: float, width: int) -> float:
    return float(circle_of_confusion(torch.tensor(depth, dtype=torch.float64), lens, width))


@pytest.mark.parametrize(("f", "n", "s", "z", "sensor", "width", "expected"), TABLE)
def test_discs_have_the_size_that_a_lens_makes_them(
    f: float, n: float, s: float, z: float, sensor: float, width: int, expected: float
) -> None:
    found = disc(Lens(f, n, s, sensor), z, width)

    assert abs(found) == pytest.approx(expected, abs=1e-3)
    assert (found > 0) == (z > s)


@given(f=st.floats(10, 200), n=st.floats(0.9, 32), s=st.floats(0.5, 100), z=st.floats(0.3, 1000))
def test_inverse_depth_and_millimetres_give_one_disc(
    f: float, n: float, s: float, z: float
) -> None:
    apart_mm = 1000.0 * s - f
    on_sensor = f * f / (n * apart_mm) * (z - s) / z

    assert disc(Lens(f, n, s, 36.0), z, 1000) == pytest.approx(
        on_sensor * 1000 / 36.0, rel=1e-9, abs=1e-9 * f * f / (n * apart_mm)
    )


def test_twice_the_f_number_halves_the_disc() -> None:
    assert disc(Lens(85, 4, 2, 36), 9, 1024) == 2 * disc(Lens(85, 8, 2, 36), 9, 1024)


@pytest.mark.parametrize(
    ("f", "n", "width", "hyperfocal"),
    [(85, 1.8, 1024, 114.26), (85, 22, 3840, 35.12), (24, 8, 1024, 2.07)],
)
def test_focus_at_infinity_is_sharp_from_the_hyperfocal_distance(
    f: float, n: float, width: int, hyperfocal: float
) -> None:
    near, far = depth_of_field(Lens(f, n, INF, 36), 36 / width)

    assert near + f / 1000 == pytest.approx(hyperfocal, abs=0.01)
    assert far == INF


def test_the_ends_of_the_sharp_range_have_the_disc_it_allows() -> None:
    lens = Lens(50, 2.8, 3, 36)
    near, far = depth_of_field(lens, 36 / 1024)

    assert disc(lens, near, 1024) == pytest.approx(-1.0, rel=1e-6)
    assert disc(lens, far, 1024) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(
    "numbers",
    [(0, 2, 1, 36), (50, 0, 1, 36), (50, 2, 0.05, 36), (50, 2, math.nan, 36), (INF, 2, INF, 36)],
)
def test_what_is_no_lens_is_refused(numbers: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"must be positive|nearer than a focal length"):
        Lens(*numbers)
