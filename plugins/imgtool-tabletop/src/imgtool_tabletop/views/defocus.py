"""Depth of field: the same scene all in focus and through an open lens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Final

import torch

from imgtool_tabletop.views.exposure import expose
from imgtool_tabletop.views.optics import Lens, circle_of_confusion
from imgtool_tabletop.views.params import DefocusParams
from imgtool_tabletop.views.scenes import CAPTION, SceneView, recipe
from imgtool_tabletop.views.view import Example, Kind, Layer, quantised
from imgtool_tabletop.world.batch import gather
from imgtool_tabletop.world.render import measure, render

if TYPE_CHECKING:
    import random

    from torch import Tensor

F_NUMBERS: Final = {"shallow": (1.4, 4.0), "deep": (8.0, 22.0)}


class Defocus(SceneView[DefocusParams]):
    """A picture all in focus, the same through a lens focused on something in it, and the truth."""

    name = "defocus"
    layers: ClassVar = (
        Layer("sharp", Kind.PICTURE, "[3, H, W], through a pinhole: all in focus"),
        Layer("image", Kind.PICTURE, "[3, H, W], through the lens, averaged in linear light"),
        Layer("depth", Kind.METRES, "[H, W], along the camera's axis, at pixel centres"),
        Layer(
            "coc", Kind.VALUES, "[H, W], diameter of the blur disc, pixels, positive behind focus"
        ),
        Layer("focus_m", Kind.NUMBERS, "[], distance in focus, metres"),
        Layer("f_number", Kind.NUMBERS, "[], focal length over diameter of the aperture"),
        Layer("focal_mm", Kind.NUMBERS, "[], focal length, millimetres"),
        Layer("aperture_mm", Kind.NUMBERS, "[], diameter of the aperture, millimetres"),
        Layer("image_distance_mm", Kind.NUMBERS, "[], from lens to sensor, millimetres"),
        Layer("sensor_mm", Kind.NUMBERS, "[], side of the square sensor, millimetres"),
        Layer("strength", Kind.NUMBERS, "[], K in coc = K (1/focus - 1/depth), pixels metres"),
        CAPTION,
    )

    def example(self, index: int) -> Example:
        """Scene `index` twice; the focus is on a solid, or at any depth in the picture."""
        scene, rng, size = self.scene(index), self.rng(index), self.params.size
        depth = measure(gather([scene]), size).depth[0]
        field: str = self.params.aperture
        if field == "both":
            field = rng.choice(sorted(F_NUMBERS))
        low, high = F_NUMBERS[field]
        f_number = math.exp(rng.uniform(math.log(low), math.log(high)))
        target = rng.randrange(len(scene.solids)) if rng.random() < 0.8 else None
        if target is None:
            focus_m = _any_depth(depth, rng)
        else:
            focus_m = scene.camera.project(scene.solids[target].centre)[2]
        lens = Lens(scene.camera.focal_mm, f_number, focus_m)
        values = {
            "sharp": quantised(render([scene], size)[0]),
            "image": quantised(expose(scene, lens, size, self.params.lens_points)),
            "depth": depth,
            "coc": circle_of_confusion(depth, lens, size),
            **{name: torch.tensor(number) for name, number in numbers_of(lens, size).items()},
            "caption": self.caption(scene, index),
        }
        record = {"depth_of_field": field, "focus_on": target, "scene": recipe(scene)}
        return Example(index, values, record)


def numbers_of(lens: Lens, width: int) -> dict[str, float]:
    """The scalar layers of a lens."""
    return {
        "focus_m": lens.focus_m,
        "f_number": lens.f_number,
        "focal_mm": lens.focal_mm,
        "aperture_mm": lens.aperture_mm,
        "image_distance_mm": lens.image_distance_mm,
        "sensor_mm": lens.sensor_mm,
        "strength": lens.strength(width),
    }


def _any_depth(depth: Tensor, rng: random.Random) -> float:
    """Evenly in inverse depth, between the nearest and the farthest pixel."""
    near, far = float(depth.min()), float(depth.max())
    return 1.0 / rng.uniform(1.0 / far, 1.0 / near)
