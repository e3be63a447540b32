"""Other words for a caption that say the same: what the tabletop agent proposes."""

import random
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from imgtool_tabletop.agent.statements import name_of, read
from imgtool_tabletop.captions import words
from imgtool_tabletop.captions.grammar import describe
from imgtool_tabletop.captions.parse import parse
from imgtool_tabletop.world.facts import INVERSE, Facts

DRAWS: Final = 40
FILLERS: Final = frozenset("them both it its and is are the a an there of to in on with".split())


def reworded(text: str, tried: Collection[str], rng: random.Random) -> str | None:
    """A text not `tried` that says what `text` says; None where it names no solid.

    What the world has no words for stays as it stands, and the solids are said again after it.
    """
    facts = read(text)
    if not facts.objects:
        return None
    for _ in range(DRAWS):
        told = tell(facts, rng)
        if not facts.holds_in(parse(told)):
            continue
        if not is_known(text):
            told = f"{text.rstrip(' .')}. {told}"
        if text.rstrip().endswith(".") and not told.endswith("."):
            told += "."
        if told not in tried and told != text:
            return told
    return None


def is_known(text: str) -> bool:
    """Whether the world has a word for everything in a text."""
    known = {*words.all_words(), *FILLERS}
    if not re.fullmatch(r"[A-Za-z\s,.;:!-]*", text):
        return False
    return all(word in known for word in re.findall(r"[a-z]+", text.lower()))


def tell(facts: Facts, rng: random.Random) -> str:
    """The facts in words drawn by `rng`: one relation in the caption, each other in a sentence."""
    turned = _turned(facts, rng)
    relations = rng.sample(sorted(turned.relations), len(turned.relations))
    first = frozenset(relations[:1])
    lines = [describe(replace(turned, relations=first), rng).rstrip(".")]
    for subject, kind, other in relations[1:]:
        one, two = (name_of(turned.objects[at]) for at in (subject, other))
        lines.append(f"The {one} is {words.RELATION_PHRASES[kind][0]} the {two}")
    return lines[0] if len(lines) == 1 else ". ".join(lines) + "."


def _turned(facts: Facts, rng: random.Random) -> Facts:
    """The same facts in another order of solids, some relations said the other way round."""
    order = rng.sample(range(len(facts.objects)), len(facts.objects))
    place = {old: new for new, old in enumerate(order)}
    relations = set()
    for i, kind, j in sorted(facts.relations):
        one, two = place[i], place[j]
        if kind in INVERSE and rng.random() < 0.5:
            one, kind, two = two, INVERSE[kind], one
        relations.add((one, kind, two))
    objects = tuple(facts.objects[old] for old in order)
    return replace(facts, objects=objects, relations=frozenset(relations))
