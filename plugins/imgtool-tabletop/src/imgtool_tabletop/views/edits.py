"""Counterfactuals: a scene, the same without one solid, and the same with it recoloured."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

import torch

from imgtool_tabletop.training.bank import is_held_out
from imgtool_tabletop.views.params import EditsParams
from imgtool_tabletop.views.scenes import CAPTION, SceneView, recipe
from imgtool_tabletop.views.view import Example, Kind, Layer, quantised
from imgtool_tabletop.world.batch import gather
from imgtool_tabletop.world.render import measure, render_batch
from imgtool_tabletop.world.sample import ATTEMPTS, BROAD, sample_scene
from imgtool_tabletop.world.scene import COLOURS, FINISHES, SHAPES, SIZES, Scene, Solid

if TYPE_CHECKING:
    import random

    from torch import Tensor

SEVERAL: Final = replace(BROAD, counts=(0.0, *BROAD.counts[1:]))
VISIBLE: Final = 2
"""Levels of 255 by which a pixel must change to count as changed."""


class Edits(SceneView[EditsParams]):
    """Pictures with an object, without it and with another in its place, and the masks between.

    What the object hides is drawn as it is, so `without` is the truth for inpainting, and `amodal`
    and `labels_without` are those for completing shapes.
    """

    name = "edits"
    layers: ClassVar = (
        Layer("image", Kind.PICTURE, "[3, H, W]"),
        Layer("without", Kind.PICTURE, "[3, H, W], the same with one solid and its shadow gone"),
        Layer("recoloured", Kind.PICTURE, "[3, H, W], the same with that solid in another colour"),
        Layer("mask", Kind.MASK, "[H, W], true where that solid is seen: what to paint anew"),
        Layer("amodal", Kind.MASK, "[H, W], its whole outline, as if nothing stood before it"),
        Layer("changed", Kind.MASK, "[H, W], where image and without differ, shadow included"),
        Layer("labels", Kind.LABELS, "[H, W], k on solid k - 1; pebbles come after; 0 elsewhere"),
        Layer("labels_without", Kind.LABELS, "[H, W], as labels, with the same numbers"),
        CAPTION,
        Layer("caption_without", Kind.TEXT, "true of without"),
        Layer("caption_recoloured", Kind.TEXT, "true of recoloured"),
    )

    def example(self, index: int) -> Example:
        """Scene `index` of this view, in which a random solid is edited."""
        scene, taken, colour = self._edit(index)
        edited = [scene, without(scene, taken), recoloured(scene, taken, colour)]
        just = replace(scene, solids=(replace(scene.solids[taken], support=None),), pebbles=())
        batch, size = gather([*edited, just]), self.params.size
        pictures = quantised(render_batch(gather(edited), size).image)
        body = measure(batch, size).body
        apart = (pictures[0].int() - pictures[1].int()).abs().amax(0)
        values = {
            **dict(zip(("image", "without", "recoloured"), pictures, strict=True)),
            "mask": body[0] == taken,
            "amodal": body[3] == 0,
            "changed": apart >= VISIBLE,
            "labels": _labels(body[0]),
            # Bodies after the one taken away have moved up by one.
            "labels_without": _labels(body[1] + (body[1] >= taken).long()),
            "caption": self.caption(edited[0], index),
            "caption_without": self.caption(edited[1], index),
            "caption_recoloured": self.caption(edited[2], index),
        }
        record = {"taken": taken + 1, "colour": colour, "scene": recipe(scene)}
        return Example(index, values, record)

    def _edit(self, index: int) -> tuple[Scene, int, str]:
        """A scene, a solid that nothing stands on, and another colour for it.

        All three pictures are of the half of the world that training sees; of held-out scenes, the
        first is of the other half.
        """
        rng = self.rng(index)
        while True:
            scene, taken = self._staged(sample_scene(rng, SEVERAL), rng)
            present = scene.solids[taken]
            colour = rng.choice([c for c in COLOURS if c != present.colour])
            others = (without(scene, taken), recoloured(scene, taken, colour))
            if is_held_out(scene) != self.params.held_out:
                continue
            if self.params.held_out or not any(map(is_held_out, others)):
                return scene, taken, colour

    def _staged(self, scene: Scene, rng: random.Random) -> tuple[Scene, int]:
        """The scene with the index of the solid to take; at times one put in front of another."""
        if rng.random() < self.params.in_front:
            for _ in range(ATTEMPTS):
                screen = _screen(scene, rng)
                if screen is not None:
                    return replace(scene, solids=(*scene.solids, screen)), len(scene.solids)
        carrying = {solid.support for solid in scene.solids}
        return scene, rng.choice([k for k in range(len(scene.solids)) if k not in carrying])


def without(scene: Scene, taken: int) -> Scene:
    """The scene without a solid on which nothing stands."""
    solids = tuple(
        replace(solid, support=solid.support - (solid.support > taken))
        if solid.support is not None
        else solid
        for k, solid in enumerate(scene.solids)
        if k != taken
    )
    return replace(scene, solids=solids)


def recoloured(scene: Scene, taken: int, colour: str) -> Scene:
    """The scene with one solid in another colour."""
    solids = [replace(s, colour=colour) if k == taken else s for k, s in enumerate(scene.solids)]
    return replace(scene, solids=tuple(solids))


def _screen(scene: Scene, rng: random.Random) -> Solid | None:
    """A solid on the table before another, hiding part of it; None where it does not fit."""
    target = rng.choice([solid for solid in scene.solids if solid.support is None])
    screen = Solid(
        rng.choice(SHAPES),
        rng.choice(COLOURS),
        0.0,
        0.0,
        rng.choice(SIZES),
        rng.choice(FINISHES),
        yaw_deg=rng.uniform(0, 90),
    )
    away = (target.radius + screen.radius) * rng.uniform(1.05, 1.3)
    turn = math.radians(scene.camera.azimuth_deg + rng.uniform(-25, 25))
    x, y = target.x + away * math.sin(turn), target.y - away * math.cos(turn)
    placed = replace(screen, x=x, y=y)
    across, down, depth = scene.camera.project(placed.centre)
    reach = placed.radius / (depth * scene.camera.tan_half)
    stands_free = all(
        math.hypot(x - other.x, y - other.y) >= 1.02 * (placed.radius + other.radius)
        for other in scene.solids
        if other.support is None
    )
    pebbled = any(
        math.hypot(x - pebble.x, y - pebble.y) < placed.radius + pebble.radius
        for pebble in scene.pebbles
    )
    in_frame = abs(across) + reach <= 0.97 and abs(down) + reach <= 0.97
    return placed if stands_free and in_frame and not pebbled else None


def _labels(body: Tensor) -> Tensor:
    return (body + 1).clamp_min(0).to(torch.uint8)
