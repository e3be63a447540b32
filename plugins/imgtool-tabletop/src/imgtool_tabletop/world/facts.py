"""What is true of a scene, in the words captions use: objects, relations, table, light.

Directions are the viewer's: left and right across the picture, front towards the camera.
"""

import math
from dataclasses import dataclass
from typing import Final

from imgtool_tabletop.world.scene import Scene, Solid

RELATIONS: Final = ("left of", "right of", "in front of", "behind", "on top of")
INVERSE: Final = {
    "left of": "right of",
    "right of": "left of",
    "in front of": "behind",
    "behind": "in front of",
}


@dataclass(frozen=True, slots=True)
class ObjectFact:
    """One object; an attribute of None says nothing."""

    shape: str | None
    colour: str | None = None
    size: str | None = None
    finish: str | None = None

    def fits(self, other: "ObjectFact") -> bool:
        """Whether all that this fact says is said by `other` too."""
        pairs = zip(
            (self.shape, self.colour, self.size, self.finish),
            (other.shape, other.colour, other.size, other.finish),
            strict=True,
        )
        return all(mine is None or mine == theirs for mine, theirs in pairs)


@dataclass(frozen=True, slots=True)
class Facts:
    """Objects, relations (subject index, relation, object index) and the scene's surroundings.

    `extras` holds single words of framing, clutter and harmony; `sun` the side light comes from.
    """

    objects: tuple[ObjectFact, ...]
    relations: frozenset[tuple[int, str, int]] = frozenset()
    table: str | None = None
    light: str | None = None
    sun: str | None = None
    extras: frozenset[str] = frozenset()

    def holds_in(self, truth: "Facts") -> bool:
        """Whether every fact here is among those of `truth`, under some pairing of objects."""
        for mine, theirs in ((self.table, truth.table), (self.light, truth.light)):
            if mine is not None and mine != theirs:
                return False
        if self.sun is not None and self.sun != truth.sun:
            return False
        return self.extras <= truth.extras and self._pair((), truth)

    def _pair(self, chosen: tuple[int, ...], truth: "Facts") -> bool:
        if len(chosen) == len(self.objects):
            return all(
                (chosen[subject], relation, chosen[object_]) in truth.relations
                for subject, relation, object_ in self.relations
            )
        mine = self.objects[len(chosen)]
        return any(
            self._pair((*chosen, index), truth)
            for index, theirs in enumerate(truth.objects)
            if index not in chosen and mine.fits(theirs)
        )


def ground_offset(scene: Scene, first: Solid, second: Solid) -> tuple[float, float]:
    """From `first` to `second`, metres: to the viewer's right, and away from the viewer."""
    turn = math.radians(scene.camera.azimuth_deg)
    dx, dy = second.x - first.x, second.y - first.y
    return (
        dx * math.cos(turn) + dy * math.sin(turn),
        dy * math.cos(turn) - dx * math.sin(turn),
    )


def relation_between(scene: Scene, i: int, j: int) -> frozenset[str]:
    """Relations of solid `i` to solid `j` that a viewer would agree to, with a clear margin."""
    first, second = scene.solids[i], scene.solids[j]
    if first.support == j:
        return frozenset({"on top of"})
    if first.support is not None or second.support is not None:
        return frozenset()
    across, away = ground_offset(scene, first, second)
    margin = 0.85 * (first.radius + second.radius)
    found = set()
    if abs(across) >= margin and abs(across) >= 0.8 * abs(away):
        found.add("left of" if across > 0 else "right of")
    if abs(away) >= margin and abs(away) >= 0.8 * abs(across):
        found.add("in front of" if away > 0 else "behind")
    return frozenset(found)


def _extras(scene: Scene) -> frozenset[str]:
    words = {"cluttered"} if scene.pebbles else {"empty"}
    camera = scene.camera
    if camera.elevation_deg >= 55:
        words.add("from above")
    view = max(camera.project(solid.centre)[2] for solid in scene.solids) * camera.tan_half
    largest = max(solid.radius for solid in scene.solids) / view
    if largest >= 0.42:
        words.add("close-up")
    if largest <= 0.20:
        words.add("wide shot")
    places = [camera.project(solid.centre) for solid in scene.solids]
    mean_x = sum(place[0] for place in places) / len(places)
    mean_y = sum(place[1] for place in places) / len(places)
    if math.hypot(mean_x, mean_y) <= 0.16:
        words.add("centred")
    return frozenset(words | {harmony(scene)})


HUES: Final = {"red": 0, "yellow": 55, "green": 125, "cyan": 180, "blue": 230, "purple": 285}


def harmony(scene: Scene) -> str:
    """`matching`, `contrasting` or `mixed` colours, by the widest angle between hues."""
    hues = [HUES[solid.colour] for solid in scene.solids if solid.colour in HUES]
    gaps = [abs((a - b + 180) % 360 - 180) for a in hues for b in hues]
    widest = max(gaps, default=0)
    if len(scene.solids) < 2 or 75 < widest < 120:
        return "mixed"
    return "matching" if widest <= 75 else "contrasting"


def scene_facts(scene: Scene) -> Facts:
    """Everything a caption may say about `scene`."""
    objects = tuple(ObjectFact(s.shape, s.colour, s.size, s.finish) for s in scene.solids)
    count = len(objects)
    relations = frozenset(
        (i, name, j)
        for i in range(count)
        for j in range(count)
        if i != j
        for name in relation_between(scene, i, j)
    )
    turn = scene.light.azimuth_deg
    sun = "left" if -120 <= turn <= -35 else "right" if 35 <= turn <= 120 else None
    return Facts(objects, relations, scene.table, scene.light.time, sun, _extras(scene))
