"""What a suite's question expects of a picture, and whether what is seen there meets it.

An expectation is JSON: `objects` as pairs of shape and colour (null: any), `relations` between them
as `[index, "left of", index]`, and `exactly`: nothing else may be there.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from imgtool_tabletop.world.facts import INVERSE, Facts, ObjectFact
from imgtool_tabletop.world.scene import Scene

if TYPE_CHECKING:
    from imgtool_tabletop.judge import Seen

SIDES: Final = ("left of", "right of")


def expectation(
    objects: Sequence[ObjectFact],
    relations: Sequence[tuple[int, str, int]] = (),
    exactly: bool = True,
) -> dict[str, Any]:
    """The JSON of one expectation."""
    return {
        "objects": [[fact.shape, fact.colour] for fact in objects],
        "relations": [list(relation) for relation in relations],
        "exactly": exactly,
    }


def wanted(expects: object) -> tuple[Facts, bool]:
    """The facts that an expectation names, and whether nothing else may be there.

    Raises
    ------
    ValueError : it is no expectation.
    """
    if not isinstance(expects, Mapping):
        raise ValueError("expects nothing that can be checked")
    try:
        objects = tuple(ObjectFact(shape, colour) for shape, colour in expects["objects"])
        relations = frozenset((int(i), str(name), int(j)) for i, name, j in expects["relations"])
        exactly = bool(expects["exactly"])
    except (KeyError, TypeError, ValueError) as err:
        raise ValueError(f"expects {expects!r}, which cannot be checked") from err
    if any(not 0 <= at < len(objects) for i, _, j in relations for at in (i, j)):
        raise ValueError("expects a relation to an object that it does not name")
    return Facts(objects, relations), exactly


def is_met(expects: object, there: Facts) -> bool:
    """Whether facts of a picture meet an expectation.

    Raises
    ------
    ValueError : it is no expectation.
    """
    facts, exactly = wanted(expects)
    if exactly and len(facts.objects) != len(there.objects):
        return False
    return facts.holds_in(there)


def facts_seen(seen: "Sequence[Seen]") -> Facts:
    """Objects as the judge sees them, and which is to the left of which."""
    return _placed([(ObjectFact(s.shape, s.colour), s.x) for s in seen])


def facts_in_view(scene: Scene) -> Facts:
    """The same of a scene, as a judge without fault would see it."""
    return _placed(
        [(ObjectFact(s.shape, s.colour), scene.camera.project(s.centre)[0]) for s in scene.solids]
    )


def _placed(objects: Sequence[tuple[ObjectFact, float]]) -> Facts:
    relations = set()
    for i, (_, x) in enumerate(objects):
        for j, (_, other) in enumerate(objects):
            if x < other:
                relations |= {(i, "left of", j), (j, INVERSE["left of"], i)}
    return Facts(tuple(fact for fact, _ in objects), frozenset(relations))
