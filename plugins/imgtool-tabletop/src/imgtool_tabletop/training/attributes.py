"""Pairs of attributes that LoRAs slide between: the same scene with one end and with the other.

Each attribute has a measure of pictures that no net has a part in; renders of both ends say what it
is worth.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from torch import Tensor
from torch.nn.functional import max_pool2d

from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.world.facts import Facts
from imgtool_tabletop.world.sample import scatter_pebbles
from imgtool_tabletop.world.scene import Scene

SPOT = 7
"""Side in pixels of the square that what counts as a spot is smaller than."""
DARKER = 0.08
"""How much darker than what surrounds them pixels of small things are; display values 0..1."""


@dataclass(frozen=True)
class Attribute:
    """What the two scenes of a pair differ in.

    ends : the names of both. shown : a scene with end 0 or 1. silent : facts without a word of it.
    measure : [B, 3, H, W] pictures, 0..1, to [B] numbers, larger at end 1. measured : what that
    number is.
    """

    ends: tuple[str, str]
    shown: Callable[[Scene, int], Scene]
    silent: Callable[[Facts], Facts]
    measure: Callable[[Tensor], Tensor]
    measured: str


def _finished(scene: Scene, end: int) -> Scene:
    finish = ("matte", "shiny")[end]
    return replace(scene, solids=tuple(replace(solid, finish=finish) for solid in scene.solids))


def _without_finish(facts: Facts) -> Facts:
    return replace(facts, objects=tuple(replace(fact, finish=None) for fact in facts.objects))


def _lit(scene: Scene, end: int) -> Scene:
    return replace(scene, light=replace(scene.light, time=("morning", "evening")[end]))


def _without_light(facts: Facts) -> Facts:
    return replace(facts, light=None)


def _strewn(scene: Scene, end: int) -> Scene:
    rng = random.Random(scene.texture_seed)
    return replace(scene, pebbles=scatter_pebbles(rng, scene.solids) if end else ())


def _without_clutter(facts: Facts) -> Facts:
    return replace(facts, extras=facts.extras - {"empty", "cluttered"})


def highlight(pictures: Tensor) -> Tensor:
    """[B]: how far the whitest spot of each picture stands out, 0..1.

    The white top-hat of the darkest channel, which is high in white and grey alone.
    """
    darkest = pictures.amin(1, keepdim=True)
    return (darkest - _opened(darkest, SPOT)).amax((1, 2, 3))


def warmth(pictures: Tensor) -> Tensor:
    """[B]: mean red less mean blue, -1..1."""
    return (pictures[:, 0] - pictures[:, 2]).mean((1, 2))


def spots(pictures: Tensor) -> Tensor:
    """[B]: share of pixels in things smaller than a spot and darker than what surrounds them."""
    light = pictures.mean(1, keepdim=True)
    return (-light - _opened(-light, SPOT) > DARKER).float().mean((1, 2, 3))


def _opened(planes: Tensor, side: int) -> Tensor:
    """Grey opening of [B, 1, H, W] by a square: bright things smaller than it are gone."""
    eroded = -max_pool2d(-planes, side, 1, side // 2)
    return max_pool2d(eroded, side, 1, side // 2)


ATTRIBUTES: Final = {
    "finish": Attribute(
        ("matte", "shiny"),
        _finished,
        _without_finish,
        highlight,
        "how far the whitest spot stands out from what surrounds it, 0 to 1",
    ),
    "light": Attribute(
        ("morning", "evening"), _lit, _without_light, warmth, "mean red less mean blue, −1 to 1"
    ),
    "clutter": Attribute(
        ("empty", "cluttered"),
        _strewn,
        _without_clutter,
        spots,
        "share of pixels in small things darker than what surrounds them, 0 to 1",
    ),
}


@dataclass(frozen=True)
class PairBank(PictureBank):
    """Pictures of pairs: picture `2 i` has one end of the attribute, `2 i + 1` the other."""

    attribute: str = "finish"

    def scene(self, index: int) -> Scene:
        """The scene of picture `index`."""
        return ATTRIBUTES[self.attribute].shown(super().scene(index // 2), index % 2)

    def facts(self, index: int) -> Facts:
        """What captions may say of picture `index`: what is true of both of the pair."""
        return ATTRIBUTES[self.attribute].silent(super().facts(index))
