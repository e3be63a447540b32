"""Instance masks, and each solid cut out and by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from imgtool_tabletop.captions.grammar import name_object, with_article
from imgtool_tabletop.views.params import InstancesParams
from imgtool_tabletop.views.scenes import CAPTION, SceneView, recipe
from imgtool_tabletop.views.view import Example, Kind, Layer, quantised
from imgtool_tabletop.world.batch import gather
from imgtool_tabletop.world.facts import scene_facts
from imgtool_tabletop.world.intersect import CONE_RADIUS, CYLINDER_RADIUS
from imgtool_tabletop.world.render import measure, other_view, render, render_batch
from imgtool_tabletop.world.sample import BROAD
from imgtool_tabletop.world.scene import HALF_HEIGHT

if TYPE_CHECKING:
    import random

    from imgtool_tabletop.world.scene import Scene, Solid

MOST = len(BROAD.counts)
"""Solids that a scene has at most."""
PER_SOLID = ("boxes", "seen", "crops", "crop_masks", "references")
CLUTTER = 255
MARGIN = 1.12
"""Side of a crop, over the longer side of what it shows."""
HALF_WIDTH = {
    "sphere": 1.0,
    "cube": HALF_HEIGHT["cube"],
    "cylinder": CYLINDER_RADIUS,
    "cone": CONE_RADIUS,
    "torus": 1.0,
}
"""Half the width of each shape, in radii."""


class Instances(SceneView[InstancesParams]):
    """Pictures with the mask, box, crop and another view of each of K solids."""

    name = "instances"
    layers: ClassVar = (
        Layer("image", Kind.PICTURE, "[3, H, W]"),
        Layer("depth", Kind.METRES, "[H, W], along the camera's axis, at pixel centres"),
        Layer("labels", Kind.LABELS, "[H, W], k on solid k - 1, 255 on pebbles, 0 elsewhere"),
        Layer("boxes", Kind.NUMBERS, "[K, 4], left, top, right, bottom of what is seen, in pixels"),
        Layer("seen", Kind.NUMBERS, "[K], share of each outline that nothing hides"),
        Layer("crops", Kind.PICTURE, "[K, 3, C, C], a square of the picture around each solid"),
        Layer("crop_masks", Kind.MASK, "[K, C, C], the solid in its crop"),
        Layer("references", Kind.PICTURE, "[K, 3, C, C], each solid alone, turned, from elsewhere"),
        CAPTION,
    )

    def example(self, index: int) -> Example:
        """Scene `index` and what stands in it, in the order of the record's `subjects`."""
        scene, size, side = self.scene(index), self.params.size, self.params.crop
        count = len(scene.solids)
        batch = gather([scene])
        truth, picture = measure(batch, size), render_batch(batch, size)
        body = truth.body[0]
        labels = torch.where(body < count, body + 1, CLUTTER).clamp_min(0).to(torch.uint8)
        masks = torch.stack([body == k for k in range(count)])
        boxes = torch.stack([box_of(mask) for mask in masks])
        cut = torch.cat((picture.image[0], masks.float()))
        crops = torch.stack([crop(cut, box, side) for box in boxes])
        rng = self.rng(index)
        turned = [alone(scene, solid, rng) for solid in scene.solids]
        values = {
            "image": quantised(picture.image[0]),
            "depth": truth.depth[0],
            "labels": labels,
            "boxes": boxes,
            "seen": picture.visible_share[0, :count],
            "crops": quantised(crops[:, :3]),
            "crop_masks": torch.stack([c[3 + k] > 0.5 for k, c in enumerate(crops)]),
            "references": quantised(render(turned, side)),
            "caption": self.caption(scene, index),
        }
        return Example(index, values, {"subjects": subjects(scene, rng), "scene": recipe(scene)})

    def item(self, index: int) -> dict[str, Tensor | str | int]:
        """As of every view, with `MOST` entries where there is one a solid, the last ones zero."""
        return padded(super().item(index))


def padded(item: dict[str, Tensor | str | int]) -> dict[str, Tensor | str | int]:
    """An item whose layers have `MOST` entries each, so that items can be stacked."""
    return item | {name: _lengthened(item[name]) for name in PER_SOLID}


def box_of(mask: Tensor) -> Tensor:
    """[4] left, top, right, bottom of a mask [H, W], in pixels, ends excluded; zeros if empty."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    if len(rows) == 0:
        return torch.zeros(4)
    return torch.stack((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)).float()


def crop(planes: Tensor, box: Tensor, side: int) -> Tensor:
    """[C, side, side] of planes [C, H, W]: a square around `box`; edges are repeated outside."""
    left, top, right, bottom = box.tolist()
    reach = max(right - left, bottom - top, 1.0) * MARGIN / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    x0, x1 = round(x - reach), max(round(x + reach), round(x - reach) + 1)
    y0, y1 = round(y - reach), max(round(y + reach), round(y - reach) + 1)
    height, width = planes.shape[1:]
    rows = torch.arange(y0, y1).clamp(0, height - 1)
    columns = torch.arange(x0, x1).clamp(0, width - 1)
    cut = planes[:, rows][:, :, columns]
    return interpolate(cut[None], (side, side), mode="bilinear", antialias=True)[0]


def alone(scene: Scene, solid: Solid, rng: random.Random) -> Scene:
    """The solid by itself on the same table, turned and seen from elsewhere, filling the frame."""
    placed = replace(
        solid, x=0.0, y=0.0, base=0.0, support=None, yaw_deg=solid.yaw_deg + rng.uniform(20, 70)
    )
    camera = replace(
        scene.camera,
        azimuth_deg=scene.camera.azimuth_deg + rng.choice((-1, 1)) * rng.uniform(20, 60),
        elevation_deg=rng.uniform(22, 50),
        distance_m=solid.radius * 1.05 / scene.camera.tan_half + solid.radius,
        target=placed.centre,
    )
    return other_view(replace(scene, solids=(placed,), pebbles=()), camera)


def subjects(scene: Scene, rng: random.Random) -> list[dict[str, Any]]:
    """Each solid's label, a name with all that is true of it, and its upright box in the world."""
    return [
        {"id": k, "caption": with_article(name_object(fact, rng)), "box3d": box3d(solid)}
        for k, (solid, fact) in enumerate(
            zip(scene.solids, scene_facts(scene).objects, strict=True), start=1
        )
    ]


def box3d(solid: Solid) -> dict[str, Any]:
    """The smallest upright box around a solid; turned by its yaw, as only a cube needs."""
    wide = 2 * HALF_WIDTH[solid.shape] * solid.radius
    return {
        "centre_m": list(solid.centre),
        "size_m": [wide, wide, solid.height],
        "yaw_deg": solid.yaw_deg,
    }


def _lengthened(values: Any) -> Tensor:
    return torch.cat((values, values.new_zeros(MOST - len(values), *values.shape[1:])))
