"""The renderer against geometry that can be worked out by hand."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace

import pytest
import torch

from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world.batch import gather
from imgtool_tabletop.world.camera import pinhole_rays
from imgtool_tabletop.world.facts import relation_between, scene_facts
from imgtool_tabletop.world.lens import render_thin_lens
from imgtool_tabletop.world.render import measure, other_view, render, render_batch
from imgtool_tabletop.world.sample import EVEN, sample_scene
from imgtool_tabletop.world.scene import (
    COLOURS,
    FINISHES,
    LIGHTS,
    SHAPES,
    TABLES,
    Camera,
    Light,
    Scene,
    Solid,
)

BALL = Scene((Solid("sphere", "red", 0.0, 0.0),))


def test_depth_and_normal_of_a_sphere_are_those_of_the_formula() -> None:
    batch = gather([BALL])
    rays, seen = pinhole_rays(batch, 64), measure(batch, 64)
    solid = BALL.solids[0]
    centre = torch.tensor(solid.centre)
    inside = (seen.body[0] == 0).flatten()
    offset = rays.origin[0, 0] - centre
    along = rays.direction[0, inside]
    b = along @ offset
    t = -b - (b * b - offset @ offset + solid.radius**2).sqrt()
    assert inside.sum() > 100
    torch.testing.assert_close(
        seen.depth[0].flatten()[inside], t * rays.cosine[0, inside], rtol=0, atol=1e-5
    )
    outward = (offset + along * t[:, None]) / solid.radius
    found = seen.normal[0].flatten(1).T[inside]
    torch.testing.assert_close(found, outward, rtol=0, atol=1e-4)


def test_table_is_the_plane_at_height_zero() -> None:
    batch = gather([BALL])
    rays, seen = pinhole_rays(batch, 64), measure(batch, 64)
    table = (seen.body[0] == -1).flatten()
    t = seen.depth[0].flatten()[table] / rays.cosine[0, table]
    height = rays.origin[0, 0, 2] + rays.direction[0, table, 2] * t
    assert height.abs().max() < 1e-5
    assert (seen.normal[0].flatten(1).T[table] == torch.tensor([0.0, 0.0, 1.0])).all()


def test_a_surface_point_is_at_the_same_place_in_another_view() -> None:
    turned = other_view(BALL, Camera(elevation_deg=40.0, azimuth_deg=25.0))
    batch = gather([BALL])
    rays, seen = pinhole_rays(batch, 64), measure(batch, 64)
    at = 20 * 64 + 40
    t = seen.depth[0].flatten()[at] / rays.cosine[0, at]
    point = (rays.origin[0, 0] + rays.direction[0, at] * t).tolist()
    x, y, depth = turned.camera.project(tuple(point))
    column, row = (round((v + 1) * 32 - 0.5) for v in (x, y))
    assert abs(float(measure(gather([turned]), 64).depth[0, row, column]) - depth) < 0.02


def test_visible_share_tells_what_a_front_solid_hides() -> None:
    front = Solid("cube", "red", 0.0, -0.08, "large")
    back = Solid("sphere", "blue", 0.0, 0.06, "small")
    share = render_batch(gather([Scene((front, back))])).visible_share[0]
    assert share[0] == 1.0
    assert share[1] < 0.9


def test_closed_aperture_gives_the_pinhole_picture_and_an_open_one_blurs_what_is_out_of_focus() -> (
    None
):
    batch = gather([BALL])
    sharp = render([BALL], 32)
    torch.testing.assert_close(
        render_thin_lens(batch, 0.6, 0.0, 32, lens_points=3), sharp, rtol=0, atol=1e-4
    )
    blurs = [
        (render_thin_lens(batch, focus, 0.02, 32, lens_points=16) - sharp).abs().mean()
        for focus in (0.6, 0.3)
    ]
    assert blurs[0] < blurs[1]


def test_half_the_pixels_show_the_same_picture() -> None:
    scenes = [scene_at(3, i, held_out=False) for i in range(6)]
    small, large = render(scenes, 32, 4), render(scenes, 64, 2)
    # Averaged after sRGB coding, so equal but for that: a few levels at edges.
    assert (torch.nn.functional.avg_pool2d(large, 2) - small).abs().mean() < 0.01


def test_pictures_are_the_same_every_time_and_alone_as_in_a_batch() -> None:
    scenes = [scene_at(3, i, held_out=False) for i in range(4)]
    together = render(scenes)
    assert torch.equal(together, render(scenes))
    torch.testing.assert_close(render(scenes[2:3])[0], together[2], rtol=0, atol=1e-5)


def test_every_look_differs_from_every_other() -> None:
    solid = Solid("sphere", "red", 0.0, 0.0, "large")
    scenes = [Scene((replace(solid, shape=s),)) for s in SHAPES]
    scenes += [Scene((replace(solid, colour=c),)) for c in COLOURS if c != "red"]
    scenes += [Scene((replace(solid, finish=f),)) for f in FINISHES if f != "matte"]
    scenes += [Scene((solid,), table=t) for t in TABLES if t != "wood"]
    scenes += [Scene((solid,), light=Light(t)) for t in LIGHTS if t != "noon"]
    pictures = render(scenes)
    assert pictures.isfinite().all()
    for first, second in itertools.combinations(pictures, 2):
        assert (first - second).abs().max() > 0.05


@pytest.mark.parametrize("seed", range(20))
def test_sampled_solids_are_in_the_frame_and_mostly_seen(seed: int) -> None:
    scene = sample_scene(random.Random(seed), EVEN)
    share = render_batch(gather([scene])).visible_share[0, : len(scene.solids)]
    assert share.min() > 0.2
    for solid in scene.solids:
        x, y, depth = scene.camera.project(solid.centre)
        assert max(abs(x), abs(y)) < 1
        assert depth > 0


def test_left_means_left_in_the_picture() -> None:
    for seed in range(60):
        scene = sample_scene(random.Random(seed), EVEN)
        for i, j in itertools.permutations(range(len(scene.solids)), 2):
            x = [scene.camera.project(scene.solids[k].centre)[0] for k in (i, j)]
            found = relation_between(scene, i, j)
            assert "left of" not in found or x[0] < x[1]
            assert "right of" not in found or x[0] > x[1]


def test_relations_come_with_their_inverse() -> None:
    scene = Scene((Solid("cube", "red", -0.1, 0.0), Solid("cone", "blue", 0.1, 0.0)))
    assert scene_facts(scene).relations == {(0, "left of", 1), (1, "right of", 0)}


def test_sun_stays_put_when_the_camera_turns() -> None:
    turned = other_view(BALL, Camera(azimuth_deg=40.0))
    assert math.isclose(turned.light.azimuth_deg + 40.0, BALL.light.azimuth_deg)
