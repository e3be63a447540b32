"""Shapes of the aperture: all of one area, and mirrored before the focus."""

from __future__ import annotations

import math

import pytest
import torch

from imgtool_defocus.aperture import Aperture

LIKE = torch.zeros((), dtype=torch.float64)


def covered(aperture: Aperture, radius: float) -> float:
    """Area of a disc, pixels: its kernel is flat but for the rim."""
    return 1.0 / float(aperture.kernel(radius, True, LIKE).max())


@pytest.mark.parametrize("aperture", [Aperture(), Aperture(5), Aperture(8, 11, 0.5), Aperture(3)])
def test_every_shape_has_the_area_of_its_circle(aperture: Aperture) -> None:
    assert covered(aperture, 20.0) == pytest.approx(math.pi * 400, rel=0.02)


@pytest.mark.parametrize(
    ("blades", "factor"), [(5, 1.1495), (6, 1.0996), (7, 1.0715), (8, 1.0539), (9, 1.0422)]
)
def test_corners_of_blades_lie_outside_the_circle_of_equal_area(blades: int, factor: float) -> None:
    assert Aperture(blades).extent == pytest.approx(factor, abs=2e-4)


def test_round_blades_are_a_circle() -> None:
    assert torch.equal(Aperture(5, 30, 1.0).kernel(9, True, LIKE), Aperture().kernel(9, True, LIKE))


def test_a_triangle_is_point_mirrored_before_the_focus() -> None:
    triangle = Aperture(3, rotation_deg=10)
    behind, before = (triangle.kernel(12, side, LIKE) for side in (True, False))

    assert torch.allclose(before, behind.flip(0, 1), atol=1e-12)
    assert not torch.allclose(before, behind, atol=1e-4)


def test_an_unturned_corner_points_right_and_turns_clockwise() -> None:
    at = torch.arange(-24, 25, dtype=torch.float64)
    for turn, axis in ((0.0, 0), (90.0, 1)):
        kernel = Aperture(3, rotation_deg=turn).kernel(12, True, LIKE)
        side = at[24 - kernel.shape[0] // 2 : 25 + kernel.shape[0] // 2]
        lit = side[(kernel > 0).any(axis)]

        assert lit.max() > -lit.min()


@pytest.mark.parametrize("aperture", [Aperture(), Aperture(3, 20), Aperture(6, 5, 0.3)])
def test_taps_weigh_what_the_kernel_says(aperture: Aperture) -> None:
    radius, side = 6.3, torch.tensor(True)
    kernel = aperture.kernel(radius, True, LIKE)
    drawn = torch.zeros_like(kernel)
    middle = kernel.shape[0] // 2
    for tap in aperture.taps(radius):
        drawn[middle + tap.dy, middle + tap.dx] = tap.weight(LIKE + radius, side)

    assert torch.allclose(drawn / drawn.sum(), kernel, atol=1e-12)


def test_discs_of_up_to_a_pixel_are_a_point() -> None:
    assert Aperture().kernel(0.5, True, LIKE).tolist() == [[1.0]]


@pytest.mark.parametrize(
    "aperture", [Aperture(), Aperture(5, 20), Aperture(3, 10), Aperture(6, 0, 0.5)]
)
def test_points_of_the_lens_fill_its_shape_evenly(aperture: Aperture) -> None:
    points = aperture.points(40000)
    disc = torch.zeros(51, 51, dtype=torch.float64)
    down, right = (points * 12).round().long().T + 25
    disc.index_put_((down, right), torch.full_like(points[:, 0], 1 / len(points)), accumulate=True)
    expected = aperture.kernel(12, True, LIKE)
    margin = (51 - len(expected)) // 2
    inner = slice(margin, 51 - margin)

    assert len(points) == pytest.approx(40000, rel=0.01)
    assert (disc[inner, inner] - expected).abs().sum() < 0.05
    assert disc[inner, inner].sum() == pytest.approx(1.0)
