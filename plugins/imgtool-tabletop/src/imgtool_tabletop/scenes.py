"""Scenes by number: what a record of a row names, in the distributions of the suites."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world.sample import FIRST, Distribution
from imgtool_tabletop.world.scene import Scene

KINDS: Final[Mapping[str, Distribution]] = {
    "first": FIRST,
    "same": replace(FIRST, counts=(0.0, 0.5, 0.3, 0.2), same_object=1.0, sizes=(0.6, 0.4, 0.0)),
    "three": replace(FIRST, counts=(0.0, 0.6, 0.4)),
}
"""`same`: two to four solids that look alike. `three`: two or three solids."""


def scene_of(record: object) -> Scene:
    """The scene that `{"seed": …, "index": …, "held_out": …, "kind": …}` names.

    Raises
    ------
    ValueError : it names none.
    """
    if not isinstance(record, Mapping) or record.get("kind") not in KINDS:
        raise ValueError(f"is no scene of a kind in {', '.join(KINDS)}")
    numbers = record.get("seed"), record.get("index")
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise ValueError("has no whole numbers 'seed' and 'index'")
    return numbered(int(numbers[0]), int(numbers[1]), bool(record.get("held_out")), record["kind"])  # type: ignore[arg-type]


@lru_cache(maxsize=4096)
def numbered(seed: int, index: int, held_out: bool, kind: str) -> Scene:
    """Scene `index` of a seed."""
    return scene_at(seed, index, KINDS[kind], held_out=held_out)
