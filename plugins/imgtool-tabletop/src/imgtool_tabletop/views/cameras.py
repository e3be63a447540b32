"""Several cameras around each scene, with depth and matrices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch

from imgtool_tabletop.views.params import CamerasParams
from imgtool_tabletop.views.projection import extrinsics, intrinsics
from imgtool_tabletop.views.scenes import CAPTION, SceneView, recipe
from imgtool_tabletop.views.view import Example, Kind, Layer, quantised
from imgtool_tabletop.world.batch import gather
from imgtool_tabletop.world.render import measure, other_view, render_batch

if TYPE_CHECKING:
    from imgtool_tabletop.world.scene import Camera, Scene

ELEVATIONS_DEG = (18.0, 75.0)
"""Lower, undersides that the world leaves out would show; higher, there is no azimuth."""


class Cameras(SceneView[CamerasParams]):
    """Multi-view sets: one scene under one light, seen by several cameras."""

    name = "cameras"
    layers: ClassVar = (
        Layer("image", Kind.PICTURE, "[V, 3, H, W], a picture a camera"),
        Layer("depth", Kind.METRES, "[V, H, W], along each camera's axis, at pixel centres"),
        Layer(
            "labels", Kind.LABELS, "[V, H, W], the same number on one body in all views; 0: none"
        ),
        Layer("intrinsics", Kind.NUMBERS, "[V, 3, 3], pixels; middle of the first pixel 0.5, 0.5"),
        Layer("extrinsics", Kind.NUMBERS, "[V, 4, 4], world to camera: x right, y down, z forward"),
        CAPTION,
    )

    def example(self, index: int) -> Example:
        """Views of scene `index`; the first is the scene's own camera."""
        scene = self.scene(index)
        views = [scene, *(other_view(scene, camera) for camera in self._others(scene, index))]
        batch, size = gather(views), self.params.size
        truth = measure(batch, size)
        values = {
            "image": quantised(render_batch(batch, size).image),
            "depth": truth.depth,
            "labels": (truth.body + 1).clamp_min(0).to(torch.uint8),
            "intrinsics": torch.stack([intrinsics(view.camera, size) for view in views]),
            "extrinsics": torch.stack([extrinsics(view.camera) for view in views]),
            "caption": self.caption(scene, index),
        }
        return Example(index, values, {"scenes": [recipe(view) for view in views]})

    def _others(self, scene: Scene, index: int) -> list[Camera]:
        rng, first = self.rng(index), scene.camera
        low, high = ELEVATIONS_DEG
        return [
            replace(
                first,
                azimuth_deg=first.azimuth_deg
                + rng.choice((-1, 1)) * self.params.spread * rng.uniform(0.25, 1.0),
                elevation_deg=min(max(first.elevation_deg + rng.uniform(-12, 12), low), high),
                distance_m=first.distance_m * rng.uniform(0.95, 1.15),
            )
            for _ in range(self.params.views - 1)
        ]
