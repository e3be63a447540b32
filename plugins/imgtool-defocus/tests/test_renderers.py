"""Renderers against what light does: energy, size of points, occlusion, identity, derivatives."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import pytest
import torch
from planes import CENTRE, EDGE, SIZE, Planes, back, front, pixels, psnr
from torch.nn.functional import avg_pool2d

from imgtool_defocus import gather, layered, scatter, trace
from imgtool_defocus.aperture import Aperture
from imgtool_defocus.lens import framed
from imgtool_defocus.optics import Lens, circle_of_confusion

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_defocus.lens import LensModel

ROUND = Aperture()
MARGIN = 32


def evened(linear: Tensor, coc: Tensor, aperture: Aperture) -> tuple[Tensor, Tensor]:
    """Scatter divided by its coverage, as some renderers do."""
    light, coverage = scatter.render(linear, coc, aperture)
    return light / coverage, coverage


def point(diameter: float, model: LensModel) -> Tensor:
    """Light of a point before a black plane in focus."""
    side = 2 * math.ceil(diameter) + 9
    linear = torch.zeros(3, side, side, dtype=torch.float64)
    coc = torch.zeros(side, side, dtype=torch.float64)
    linear[:, side // 2, side // 2], coc[side // 2, side // 2] = 1.0, -diameter
    return framed(model, linear, coc, ROUND)[0]


@pytest.mark.parametrize(
    ("model", "diameter"),
    [
        *itertools.product([layered.render, scatter.render], [6.0, 12.8, 25.4, 50.6]),
        *itertools.product([trace.render], [6.0, 12.8, 25.4]),
    ],
)
def test_a_point_becomes_a_disc_of_its_diameter_and_keeps_its_light(
    model: LensModel, diameter: float
) -> None:
    light = point(diameter, model)
    at = torch.arange(len(light), dtype=torch.float64) - len(light) // 2
    spread = float((light * (at[:, None] ** 2 + at**2)).sum() / light.sum())
    area = float((light > light[light > 0].median() / 2).sum())

    assert float(light.sum()) == pytest.approx(1.0, abs=1e-3)
    assert 2 * math.sqrt(area / math.pi) == pytest.approx(diameter, abs=1)
    assert 2 * math.sqrt(2 * spread) == pytest.approx(diameter, abs=1)


def test_neither_gather_nor_division_keeps_the_light_of_a_point() -> None:
    assert float(point(12.8, gather.render).sum()) == pytest.approx(0.0077, abs=2e-3)
    assert float(point(12.8, evened).sum()) == pytest.approx(1.98, abs=0.05)


@pytest.mark.parametrize("model", [layered.render, gather.render, evened, trace.render])
@pytest.mark.parametrize("aperture", [ROUND, Aperture(5, 20)])
def test_an_even_picture_stays_even_at_any_depth(model: LensModel, aperture: Aperture) -> None:
    draw = torch.Generator().manual_seed(3)
    coc = 24 * torch.rand(40, 50, generator=draw, dtype=torch.float64) - 12
    even = torch.full((3, 40, 50), 0.5, dtype=torch.float64)

    assert (framed(model, even, coc, aperture) - 0.5).abs().max() < 1e-3


def noise(height: int, width: int) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.rand(3, height, width, generator=draw, dtype=torch.float64)


def ramp(lens: Lens, near: float, far: float, height: int = 48, width: int = 64) -> Tensor:
    depth = torch.linspace(near, far, width, dtype=torch.float64).expand(height, width)
    return circle_of_confusion(depth, lens, 1024)


@pytest.mark.parametrize("model", [layered.render, gather.render, scatter.render, trace.render])
def test_a_lens_that_keeps_all_in_focus_changes_nothing(model: LensModel) -> None:
    sharp = noise(48, 64)
    wide, tele = Lens(24, 22, 2, 36), Lens(85, 22, 2, 36)

    assert (framed(model, sharp, ramp(wide, 1, 30), ROUND) - sharp).abs().max() <= 1e-6
    assert (framed(model, sharp, ramp(tele, 9, 10), ROUND) - sharp).abs().max() > 0.1


def test_what_is_in_focus_and_not_hidden_keeps_its_pixels() -> None:
    sharp, coc = Planes(1, 4, 1).sharp()
    x, y = pixels()
    inside = torch.hypot(x - CENTRE, y - CENTRE) < EDGE
    shown = framed(layered.render, sharp, coc, ROUND)

    assert (shown - sharp).abs()[:, inside].max() <= 1e-4


CASES = {"A": (1, 4, 1), "B": (1, 4, 4), "C": (1, 4, 1.6), "D": (1, 2, 8)}
LEAST = {"A": 41.0, "B": 37.0, "C": 37.0, "D": 37.0}


@pytest.fixture(scope="module", params=CASES)
def occlusion(request: pytest.FixtureRequest) -> tuple[str, Planes, Tensor]:
    planes = Planes(*CASES[request.param])
    return request.param, planes, planes.traced()


def seen(planes: Planes, model: LensModel) -> Tensor:
    light, coc = planes.sharp(MARGIN)
    return model(light, coc, ROUND)[0][:, MARGIN:-MARGIN, MARGIN:-MARGIN]


def test_slices_show_two_planes_as_rays_do_and_gather_does_not(
    occlusion: tuple[str, Planes, Tensor],
) -> None:
    name, planes, traced = occlusion
    found = psnr(seen(planes, layered.render), traced)

    assert found >= LEAST[name]
    assert found > psnr(seen(planes, gather.render), traced) + 1.5


def test_rays_of_a_picture_are_better_where_neither_plane_is_in_focus(
    occlusion: tuple[str, Planes, Tensor],
) -> None:
    name, planes, traced = occlusion
    found = psnr(seen(planes, trace.render), traced)
    ahead = found - psnr(seen(planes, layered.render), traced)

    assert found >= LEAST[name]
    assert ahead > (1.0 if name in "CD" else -0.1)


def test_a_slanted_surface_hides_what_is_behind_it() -> None:
    """Thin slices of it add up to all of the lens."""
    coc = torch.linspace(-30.0, -8.0, 64, dtype=torch.float64)[:, None].repeat(1, 64)
    coc[:, :8] = coc[:, -8:] = 20.0
    linear = torch.where(coc > 0, 1.0, 0.0).expand(3, -1, -1)
    shown, _ = layered.render(linear, coc, ROUND)

    assert shown[:, 24:40, 31:33].max() < 1e-6


def test_no_colour_of_a_sharp_edge_bleeds_into_the_blur_behind_it() -> None:
    planes = Planes(*CASES["A"])
    x, y = pixels()
    from_centre = torch.hypot(x - CENTRE, y - CENTRE)
    band = (from_centre > EDGE + 2) & (from_centre < EDGE + 2 + planes.coc_at(planes.far) / 2)
    traced = planes.traced()

    def bleed(model: LensModel) -> float:
        return float((seen(planes, model) - traced)[0][band].mean())

    assert abs(bleed(layered.render)) <= 0.002
    assert bleed(gather.render) > 0.03


@pytest.mark.parametrize("model", [layered.render, gather.render, scatter.render])
def test_a_wider_aperture_is_never_sharper(model: LensModel) -> None:
    sharp, sharpness = noise(64, 64), []
    for f_number in (1.4, 2, 2.8, 4, 5.6, 8, 11, 16, 22, 32):
        coc = torch.full((64, 64), 10.0, dtype=torch.float64)
        coc = circle_of_confusion(coc, Lens(85, f_number, 2, 36), 512)
        luma = framed(model, sharp, coc, ROUND).mean(0)
        edges = luma[1:-1, 1:-1] * 4 - luma[2:, 1:-1] - luma[:-2, 1:-1]
        sharpness.append(float((edges - luma[1:-1, 2:] - luma[1:-1, :-2]).var()))

    assert sharpness == sorted(sharpness)
    assert len(set(sharpness)) == len(sharpness)


@pytest.mark.parametrize(
    ("model", "within"),
    [(layered.render, 1e-7), (gather.render, 1e-7), (scatter.render, 1e-7), (trace.render, 0.2)],
)
def test_a_triangle_lens_makes_triangles_of_lights(model: LensModel, within: float) -> None:
    linear = torch.zeros(3, 41, 41, dtype=torch.float64)
    linear[:, 20, 20] = 1.0
    triangle = Aperture(3, rotation_deg=25)
    coc = torch.full((41, 41), 16.0, dtype=torch.float64)
    for side in (1.0, -1.0):
        expected = triangle.kernel(8.0, side > 0, linear)
        reach = expected.shape[0] // 2
        shown = framed(model, linear, side * coc, triangle)[0]
        shown = shown[20 - reach : 21 + reach, 20 - reach : 21 + reach]

        assert float((shown - expected).abs().sum()) <= within


def focus_loss(focus: Tensor, sharp: Tensor, floor_px: float = 0.0, width: int = 1024) -> Tensor:
    """How far a textured plane at 2 m is from sharp; 50 mm, f/1.8, pixels across `width`."""
    distance_mm = 50.0 * focus * 1000.0 / (focus * 1000.0 - 50.0)
    strength = 50.0 / 1.8 / 1000.0 * distance_mm * width / 36.0
    coc = (strength * (1.0 / focus - 0.5)).expand(sharp.shape[1:])
    blurred, _ = gather.render(sharp, coc, ROUND, floor_px)
    return (blurred - sharp).square().sum()


@pytest.mark.parametrize("at", [1.0, 1.5, 1.8, 1.9, 2.3, 3.0])
def test_the_derivative_in_focus_is_exact_and_leads_to_the_plane(at: float) -> None:
    sharp = noise(24, 24)
    focus = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    focus_loss(focus, sharp).backward()
    step = 1e-6
    ends = [
        focus_loss(torch.tensor(at + side, dtype=torch.float64), sharp) for side in (step, -step)
    ]

    assert focus.grad is not None
    assert float(focus.grad) == pytest.approx(float(ends[0] - ends[1]) / (2 * step), rel=1e-4)
    assert (float(focus.grad) < 0) == (at < 2.0)


def test_discs_under_a_pixel_have_no_derivative_but_with_a_floor() -> None:
    sharp = noise(24, 24)
    for floor_px, is_flat in ((0.0, True), (0.5, False)):
        focus = torch.tensor(1.95, dtype=torch.float64, requires_grad=True)
        focus_loss(focus, sharp, floor_px).backward()

        assert (float(focus.grad) == 0.0) == is_flat  # type: ignore[arg-type]


@pytest.mark.parametrize("start", [1.0, 4.0])
def test_the_focus_finds_a_plane_by_its_derivative(start: float) -> None:
    sharp = noise(24, 24)
    focus = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([focus], 0.1)
    for _ in range(300):
        adam.zero_grad()
        focus_loss(focus, sharp, floor_px=0.5, width=256).backward()
        adam.step()
        metres = focus.item()
        if abs(Lens(50, 1.8, metres, 36).strength(256) * (1 / metres - 0.5)) < 1:
            return
    pytest.fail(f"the focus ends at {metres} m, where the plane is not sharp")


def test_twice_the_pixels_show_the_same() -> None:
    planes = Planes(1, 4, 1.6)
    line = (torch.arange(2 * SIZE, dtype=torch.float64) + 0.5) / 2 - 0.5
    y, x = torch.meshgrid(line, line, indexing="ij")
    light, inside = front(x, y)
    fine = torch.where(inside, light, back(x, y))
    fine_coc = 2 * torch.where(inside, planes.coc_at(planes.near), planes.coc_at(planes.far))
    coc = planes.sharp()[1]
    shown = framed(layered.render, avg_pool2d(fine, 2), coc, ROUND)

    assert psnr(avg_pool2d(framed(layered.render, fine, fine_coc, ROUND), 2), shown) >= 38


def test_tiles_leave_no_trace() -> None:
    sharp, coc = Planes(1, 2, 8).sharp()
    whole, _ = layered.render(sharp, coc, ROUND, tile=256)
    tiled, _ = layered.render(sharp, coc, ROUND, tile=48)

    assert (whole - tiled).abs().max() <= 1e-9


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("model", [layered.render, gather.render, scatter.render, trace.render])
def test_a_gpu_shows_what_the_processor_shows(model: LensModel) -> None:
    sharp, coc = (value.float() for value in Planes(1, 2, 8).sharp())
    there = framed(model, sharp.cuda(), coc.cuda(), ROUND).cpu()

    assert (there - framed(model, sharp, coc, ROUND)).abs().max() <= 1e-4
