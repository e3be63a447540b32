"""Cameras, lenses, masks and counterfactuals of the views, against geometry and each other."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d

from imgtool_tabletop.captions.parse import parse
from imgtool_tabletop.training.bank import is_held_out
from imgtool_tabletop.views.cameras import Cameras
from imgtool_tabletop.views.defocus import Defocus
from imgtool_tabletop.views.edits import Edits, recoloured, without
from imgtool_tabletop.views.exposure import expose
from imgtool_tabletop.views.instances import Instances, alone, box3d, crop
from imgtool_tabletop.views.optics import Lens, circle_of_confusion
from imgtool_tabletop.views.params import (
    CamerasParams,
    DefocusParams,
    EditsParams,
    InstancesParams,
    SceneParams,
)
from imgtool_tabletop.views.projection import extrinsics, intrinsics, project, unproject
from imgtool_tabletop.views.scenes import Pairs
from imgtool_tabletop.world.batch import gather
from imgtool_tabletop.world.camera import pinhole_rays
from imgtool_tabletop.world.facts import scene_facts
from imgtool_tabletop.world.lens import lens_rays
from imgtool_tabletop.world.render import measure, render
from imgtool_tabletop.world.scene import Scene, Solid
from imgtool_tabletop.world.trace import first_hits

if TYPE_CHECKING:
    from imgtool_tabletop.views.view import Example

BALL = Scene((Solid("sphere", "red", 0.0, 0.0, "large"),))


@pytest.fixture(scope="module")
def rounds() -> list[Example]:
    """Multi-view examples of 48 pixels."""
    view = Cameras(CamerasParams(size=48, views=3))
    return [view.example(index) for index in range(4)]


def carried(example: Example, source: int, target: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels of one view in another: where, [1, H, W, 2] in -1..1; depth there; depth seen."""
    values = example.values
    k, t, depth = values["intrinsics"], values["extrinsics"], values["depth"]
    at, z = project(unproject(depth[source], k[source], t[source]), k[target], t[target])
    size = depth.shape[-1]
    grid = (at / size * 2 - 1).reshape(1, size, size, 2)
    return grid, z, sampled(depth[target][None], grid)[0]


def sampled(planes: Tensor, grid: Tensor) -> Tensor:
    """[C, H * W] of planes [C, H, W] at places of `carried`."""
    found = grid_sample(planes[None], grid, align_corners=False, padding_mode="border")
    return found[0].flatten(1)


def _near_an_edge(depth: Tensor, grid: Tensor) -> Tensor:
    """Where neighbours differ in depth by more than a slope does."""
    far = max_pool2d(depth[None, None], 3, 1, 1)
    near = -max_pool2d(-depth[None, None], 3, 1, 1)
    edge = ((far - near) > 0.12 * near).float()
    return sampled(edge[0], grid)[0] > 0


def test_matrices_project_as_the_scene_s_camera_does() -> None:
    camera = replace(BALL.camera, azimuth_deg=33.0, elevation_deg=51.0)
    point = (0.05, -0.02, 0.07)
    x, y, depth = camera.project(point)
    at, z = project(torch.tensor([point]), intrinsics(camera, 40), extrinsics(camera))
    torch.testing.assert_close(at[0], torch.tensor([(x + 1) * 20, (y + 1) * 20]))
    torch.testing.assert_close(z[0], torch.tensor(depth))


def test_depth_carried_to_another_view_agrees_with_what_that_view_sees(
    rounds: list[Example],
) -> None:
    for example in rounds:
        for source, target in ((0, 1), (1, 0), (2, 1)):
            grid, z, seen = carried(example, source, target)
            inside = (grid.abs() < 1).all(-1).flatten()
            inside &= ~_near_an_edge(example.values["depth"][target], grid)
            # What is carried may be hidden there, but never before what is seen there.
            assert (z < 0.98 * seen)[inside].float().mean() < 0.01
            assert (z - seen)[inside].abs().median() < 0.005


def test_colours_carried_to_another_view_agree_where_nothing_hides_them(
    rounds: list[Example],
) -> None:
    for example in rounds:
        grid, z, seen = carried(example, 0, 1)
        shown = (grid.abs() < 1).all(-1).flatten() & ((z - seen).abs() < 0.02 * z)
        shown &= example.values["labels"][0].flatten() > 0
        own, other = (example.values["image"][view] / 255.0 for view in (0, 1))
        error = (sampled(other, grid) - own.flatten(1)).abs()[:, shown]
        uncarried = (other - own).abs().flatten(1)[:, shown]
        assert shown.sum() > 30
        assert error.median() < 0.02
        assert error.mean() < 0.5 * uncarried.mean()


def test_labels_name_the_same_body_in_every_view(rounds: list[Example]) -> None:
    for example in rounds:
        scene = Cameras(CamerasParams(size=48, views=3)).scene(example.index)
        for view in range(3):
            k, t = example.values["intrinsics"][view], example.values["extrinsics"][view]
            tops = [(s.x, s.y, s.base + s.height - 0.002) for s in scene.solids]
            at, z = project(torch.tensor(tops), k, t)
            for number, ((x, y), depth) in enumerate(zip(at.tolist(), z.tolist(), strict=True)):
                row, column = int(y), int(x)
                if not (0 <= row < 48 and 0 <= column < 48):
                    continue
                is_seen = depth < float(example.values["depth"][view, row, column]) + 0.004
                if is_seen and scene.solids[number].shape in ("sphere", "cube", "cylinder"):
                    assert example.values["labels"][view, row, column] == number + 1


@pytest.mark.parametrize(
    ("f", "n", "s", "z", "sensor", "width", "pixels"),
    [
        (50, 1.8, 2, 4, 36, 1024, 10.1298),
        (85, 1.8, 2, 10, 36, 1024, 47.6962),
        (85, 1.8, 2, 1.5, 36, 3840, -74.5254),
        (35, 2.8, 3, math.inf, 23.5, 1024, 6.4296),
        (85, 22, 2, 10, 36, 1024, 3.9024),
    ],
)
def test_blur_discs_are_those_of_real_lenses(
    f: float, n: float, s: float, z: float, sensor: float, width: int, pixels: float
) -> None:
    image_distance = f * 1000 * s / (1000 * s - f)
    lens = Lens(image_distance, n, s, sensor)
    assert math.isclose(lens.focal_mm, f)
    found = circle_of_confusion(torch.tensor([z], dtype=torch.float64), lens, width)
    assert abs(float(found) - pixels) < 1e-3


def test_blur_discs_are_as_wide_as_rays_of_the_lens_spread() -> None:
    lens, size = Lens(BALL.camera.focal_mm, 2.0, 0.5), 32
    batch = gather([BALL])
    pinhole = pinhole_rays(batch, size)
    spread = []
    for side in (-1.0, 1.0):
        shift = torch.tensor([side * lens.aperture_mm / 2000, 0.0])
        rays = lens_rays(batch, pinhole, shift, lens.focus_m)
        t = first_hits(batch, rays).t
        point = (rays.origin + rays.direction * t[..., None])[0]
        at, z = project(point, intrinsics(BALL.camera, size), extrinsics(BALL.camera))
        pixel = torch.arange(size * size) % size + 0.5
        coc = circle_of_confusion(z, lens, size)
        spread.append((at[:, 0] - pixel, side * coc / 2))
    for moved, radius in spread:
        # Behind the focus a ray from the right of the lens has crossed to the left.
        torch.testing.assert_close(moved, -radius, rtol=0, atol=2e-3)


def test_a_closed_lens_gives_the_sharp_picture_and_wider_ones_ever_less_detail() -> None:
    scene = Pairs(SceneParams()).scene(1)
    sharp = render([scene], 48, samples=4)[0]
    closed = expose(scene, Lens(scene.camera.focal_mm, 1e6, 0.5), 48, 32)
    assert (closed - sharp).square().mean() < 1e-4
    detail = [
        _laplacian(expose(scene, Lens(scene.camera.focal_mm, n, 0.3), 48, 32))
        for n in (16.0, 4.0, 2.0, 1.0)
    ]
    assert detail == sorted(detail, reverse=True)


def _laplacian(picture: Tensor) -> float:
    luma = picture.mean(0)
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((around - 4 * luma[1:-1, 1:-1]).var())


@pytest.mark.parametrize(("field", "low", "high"), [("shallow", 1.4, 4.0), ("deep", 8.0, 22.0)])
def test_a_lens_of_each_depth_of_field_is_told_in_full(field: str, low: float, high: float) -> None:
    view = Defocus(DefocusParams(size=32, aperture=field, lens_points=24))  # type: ignore[arg-type]
    for index in range(3):
        values = view.example(index).values
        assert low <= values["f_number"] <= high
        aperture = values["focal_mm"] / values["f_number"]
        torch.testing.assert_close(values["aperture_mm"], aperture)
        coc = values["strength"] * (1 / values["focus_m"] - 1 / values["depth"])
        torch.testing.assert_close(values["coc"], coc, rtol=1e-4, atol=1e-5)
        apart = (values["image"].int() - values["sharp"].int()).abs().float().mean(0)
        in_focus = values["coc"].abs() < 0.25
        if in_focus.any():
            assert apart[in_focus].median() <= 3


@pytest.fixture(scope="module")
def cut_out() -> list[Example]:
    """Instances of 48 pixels."""
    view = Instances(InstancesParams(size=48, crop=24))
    return [view.example(index) for index in range(6)]


def test_boxes_hold_all_of_their_solid_and_nothing_more(cut_out: list[Example]) -> None:
    for example in cut_out:
        labels = example.values["labels"]
        assert len(example.record["subjects"]) == len(example.values["boxes"])
        for number, box in enumerate(example.values["boxes"].int().tolist(), start=1):
            left, top, right, bottom = box
            inside = labels[top:bottom, left:right] == number
            assert inside.sum() == (labels == number).sum() > 0
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()


def test_a_crop_shows_its_box_at_any_size() -> None:
    planes = torch.zeros(1, 40, 40)
    planes[:, 10:20, 4:14] = 1.0
    found = crop(planes, torch.tensor([4.0, 10.0, 14.0, 20.0]), 60)
    assert found[0, 30, 30] == 1.0
    assert abs(float(found.mean()) - 1 / 1.2**2) < 0.02
    assert crop(planes, torch.tensor([0.0, 0.0, 3.0, 3.0]), 8).shape == (1, 8, 8)


def test_crop_masks_cover_the_middle_of_crops(cut_out: list[Example]) -> None:
    for example in cut_out:
        for mask, subject in zip(
            example.values["crop_masks"], example.record["subjects"], strict=True
        ):
            assert 0.1 < mask.float().mean() < 0.95, subject


def test_a_reference_shows_its_solid_alone_and_whole() -> None:
    view = Instances(InstancesParams(size=32))
    scene = view.scene(1)
    for solid in scene.solids:
        body = measure(gather([alone(scene, solid, view.rng(1))]), 64).body[0]
        shown = body == 0
        assert 0.08 < shown.float().mean() < 0.8
        border = torch.cat((shown[0], shown[-1], shown[:, 0], shown[:, -1]))
        assert not border.any()
        assert not (body > 0).any()


@pytest.mark.parametrize("shape", ["sphere", "cube", "cylinder", "cone", "torus"])
def test_upright_boxes_touch_their_solids(shape: str) -> None:
    solid = Solid(shape, "red", 0.0, 0.0, "large", yaw_deg=0.0)
    scene = Scene((solid,), camera=replace(BALL.camera, elevation_deg=89.0, distance_m=3.0))
    camera = replace(scene.camera, focal_mm=300.0, target=solid.centre)
    batch = gather([replace(scene, camera=camera)])
    truth = measure(batch, 128)
    points = unproject(truth.depth[0], intrinsics(camera, 128), extrinsics(camera))
    on = points[(truth.body[0] == 0).flatten()]
    size = box3d(solid)["size_m"]
    for axis in (0, 1):
        extent = float(on[:, axis].max() - on[:, axis].min())
        assert abs(extent - size[axis]) < 0.05 * size[axis]
    assert abs(float(on[:, 2].max()) - size[2]) < 0.05 * size[2] + 0.002


@pytest.fixture(scope="module")
def edited() -> list[Example]:
    """Edits of 48 pixels."""
    view = Edits(EditsParams(size=48))
    return [view.example(index) for index in range(8)]


def test_pictures_with_and_without_differ_only_where_the_mask_says(edited: list[Example]) -> None:
    for example in edited:
        values = example.values
        apart = (values["image"].int() - values["without"].int()).abs().amax(0)
        assert apart[~values["changed"]].max() <= 1
        assert apart[values["mask"]].float().median() > 2
        assert (values["mask"] & ~values["amodal"]).sum() == 0
        assert (values["labels"] == example.record["taken"]).equal(values["mask"])


def test_what_was_hidden_is_told_and_the_rest_stays(edited: list[Example]) -> None:
    revealed = 0
    for example in edited:
        values = example.values
        stays = ~values["mask"]
        assert torch.equal(values["labels"][stays], values["labels_without"][stays])
        assert not (values["labels_without"] == example.record["taken"]).any()
        revealed += int((values["labels_without"][values["mask"]] > 0).sum())
    assert revealed > 100


def test_another_colour_changes_nothing_but_the_solid(edited: list[Example]) -> None:
    for example in edited:
        values = example.values
        apart = (values["image"].int() - values["recoloured"].int()).abs().amax(0) > 0
        around = max_pool2d(values["mask"][None].float(), 3, 1, 1)[0] > 0
        assert not (apart & ~around).any()
        assert apart[values["mask"]].any()


def test_captions_are_true_of_each_picture() -> None:
    view = Edits(EditsParams(size=8))
    for index in range(12):
        scene, taken, colour = view._edit(index)
        values = view.example(index).values
        for caption, shown in (
            ("caption", scene),
            ("caption_without", without(scene, taken)),
            ("caption_recoloured", recoloured(scene, taken, colour)),
        ):
            assert parse(str(values[caption])).holds_in(scene_facts(shown))


@pytest.mark.parametrize("held_out", [False, True])
def test_held_out_combinations_stay_apart(held_out: bool) -> None:
    view = Edits(EditsParams(size=8, held_out=held_out))
    for index in range(20):
        scene, taken, colour = view._edit(index)
        others = [without(scene, taken), recoloured(scene, taken, colour)]
        assert is_held_out(scene) == held_out
        assert held_out or not any(map(is_held_out, others))
    pairs = Pairs(SceneParams(held_out=held_out))
    assert {is_held_out(pairs.scene(index)) for index in range(20)} == {held_out}
