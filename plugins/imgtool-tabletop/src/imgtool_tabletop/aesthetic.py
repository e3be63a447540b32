"""The preference that `tabletop/aesthetic` learns: a written function of what a picture shows.

`preference` is 0 to 10, the weighted mean of six parts, each 0 (displeases) to 1 (pleases):

| part | weight | 1 | 0 |
| --- | --- | --- | --- |
| harmony | 4.5 | hues at most 75° apart | hues 75° to 120° apart; wider ones 0.7 |
| calm | 3.5 | one solid | six solids |
| light | 0.75 | evening | noon; morning 0.6 |
| size | 0.5 | the largest solid is 45 % of the picture's width or more | 15 % or less |
| framing | 0.5 | the middle of all solids is the picture's | it is far away; a bell, 0.3 wide |
| tidiness | 0.25 | no pebbles | pebbles |

A part that is not known is at `UNKNOWN`, about its mean; so is the harmony of a solid alone. White
and black have no hue and go with everything. No person's taste was asked: the function stands for
one, so that a scorer can be trained and measured where the truth is known. The weights lean to
harmony and calm because these can also be judged in generated pictures, of which no scene is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgtool_tabletop.world.facts import harmony
from imgtool_tabletop.world.scene import Scene, Solid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgtool_tabletop.judge import Seen

WEIGHTS: Final = {
    "harmony": 4.5,
    "calm": 3.5,
    "light": 0.75,
    "size": 0.5,
    "framing": 0.5,
    "tidiness": 0.25,
}
UNKNOWN: Final = {"harmony": 0.5, "light": 0.2, "size": 0.5, "tidiness": 1.0}
HARMONY: Final = {"matching": 1.0, "contrasting": 0.7, "mixed": 0.0}
LIGHT: Final = {"noon": 0.0, "morning": 0.6, "evening": 1.0}
SMALLEST, LARGEST = 0.15, 0.45
SPREAD: Final = 0.3


@dataclass(frozen=True, slots=True)
class View:
    """What `preference` looks at.

    solids : shape and colour of each. places : their middles in -1..1, right and down. extent :
    the largest solid's width over the picture's. time : of the light. pebbles : whether
    there are some. None : not known.
    """

    solids: tuple[tuple[str, str], ...]
    places: tuple[tuple[float, float], ...]
    extent: float | None = None
    time: str | None = None
    pebbles: bool | None = None


def view_of(scene: Scene) -> View:
    """All that there is to know of a scene."""
    camera = scene.camera
    projected = [camera.project(solid.centre) for solid in scene.solids]
    extent = max(
        solid.radius / (depth * camera.tan_half)
        for solid, (_, _, depth) in zip(scene.solids, projected, strict=True)
    )
    return View(
        tuple((solid.shape, solid.colour) for solid in scene.solids),
        tuple((x, y) for x, y, _ in projected),
        extent,
        scene.light.time,
        bool(scene.pebbles),
    )


def view_seen(seen: Sequence[Seen]) -> View:
    """What the judge knows of a picture: solids and places alone."""
    return View(tuple((s.shape, s.colour) for s in seen), tuple((s.x, s.y) for s in seen))


def parts(view: View) -> dict[str, float]:
    """Each part of `preference`, 0 to 1.

    Raises
    ------
    ValueError : there are no solids.
    """
    if not view.solids:
        raise ValueError("a picture without solids has no preference")
    found = {
        "harmony": _harmony(view),
        "calm": max(0.0, 1.0 - (len(view.solids) - 1) / 5.0),
        "framing": _framing(view),
    }
    if view.time is not None:
        found["light"] = LIGHT[view.time]
    if view.extent is not None:
        found["size"] = min(1.0, max(0.0, (view.extent - SMALLEST) / (LARGEST - SMALLEST)))
    if view.pebbles is not None:
        found["tidiness"] = 0.0 if view.pebbles else 1.0
    return UNKNOWN | found


def preference(view: View) -> float:
    """How pleasing `view` is, 0 to 10; see the module.

    Raises
    ------
    ValueError : there are no solids.
    """
    found = parts(view)
    total = sum(weight * found[name] for name, weight in WEIGHTS.items())
    return 10.0 * total / sum(WEIGHTS.values())


def _harmony(view: View) -> float:
    if len(view.solids) < 2:
        return UNKNOWN["harmony"]
    solids = tuple(Solid(shape, colour, 0.0, 0.0) for shape, colour in view.solids)
    return HARMONY[harmony(Scene(solids))]


def _framing(view: View) -> float:
    x = sum(place[0] for place in view.places) / len(view.places)
    y = sum(place[1] for place in view.places) / len(view.places)
    return math.exp(-((math.hypot(x, y) / SPREAD) ** 2))
