"""Plans of pictures: what a caption says, in sentences, and some of what it leaves open.

A plan uses the caption's own names of solids, in its order, and its own words for where they are:
nothing that was asked for gets lost in it.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imgtool_tabletop.captions import words
from imgtool_tabletop.captions.grammar import describe, name_object, trim, with_article
from imgtool_tabletop.world.facts import INVERSE, Facts, ObjectFact

MOST_ADDED: Final = 4
"""Sentences of a plan about what its caption leaves open."""
PICTURES: Final = ("photo", "picture", "image", "render")


@dataclass(frozen=True, slots=True)
class Planned:
    """A caption, what it says, and a plan of it."""

    caption: str
    told: Facts
    plan: str


def planned(facts: Facts, rng: random.Random) -> Planned:
    """A caption of a scene and a plan that is true of the scene as well."""
    told = trim(facts, rng)
    state = rng.getstate()
    caption = describe(told, rng)
    # `describe` draws the names first: from the same state they are the caption's.
    rng.setstate(state)
    names = [name_object(fact, rng) for fact in told.objects]
    opening = _opening(caption, sorted(names, key=caption.find))
    lines = [opening, *_said(caption, told, names)]
    added = _left_open(facts, told, names)
    rng.shuffle(added)
    lines += added[: rng.randint(0, MOST_ADDED)]
    return Planned(caption, told, " ".join(f"{line}." for line in lines))


def names_differ(told: Facts) -> bool:
    """Whether `the red cube` means one solid."""
    return len({(fact.colour, fact.shape) for fact in told.objects}) == len(told.objects)


def _opening(caption: str, names: Sequence[str]) -> str:
    counted = [_counted(name, count) for name, count in Counter(names).items()]
    listed = counted[0] if len(counted) == 1 else ", ".join(counted[:-1]) + " and " + counted[-1]
    kind = next((word for word in PICTURES if f" {word} of " in caption), None)
    if kind is not None:
        return f"{with_article(kind)} of {listed}"
    return f"there {'are' if listed.split()[0] in words.NUMBERS else 'is'} {listed}"


def _counted(name: str, count: int) -> str:
    if count == 1:
        return with_article(name)
    looks, _, shape = name.rpartition(" ")
    return f"{words.NUMBERS[count - 1]} {looks} {words.PLURALS[shape]}"


def _said(caption: str, told: Facts, names: Sequence[str]) -> list[str]:
    lines = [_related(names, relation, caption) for relation in sorted(told.relations)]
    lines += _around(told.table, told.light, caption)
    return [*lines, *map(_framed, sorted(told.extras))]


def _left_open(facts: Facts, told: Facts, names: Sequence[str]) -> list[str]:
    """True sentences that say nothing of `told` again, one solid a name."""
    lines = _around(
        facts.table if told.table is None else None, facts.light if told.light is None else None
    )
    lines += [_framed(extra) for extra in sorted(facts.extras - told.extras)]
    alone = [at for at, name in enumerate(names) if names.count(name) == 1]
    for at in alone:
        lines += _looks(facts.objects[at], told.objects[at], names[at])
    said = {(i, j) for i, _, j in told.relations}
    lines += [
        _related(names, (i, kind, j))
        for i, kind, j in sorted(facts.relations)
        if i in alone and j in alone and (i, j) not in said and kind in (*INVERSE, "on top of")
    ]
    return lines


def _related(names: Sequence[str], relation: tuple[int, str, int], caption: str = "") -> str:
    """The relation, in the words of `caption` where it has some for it."""
    subject, kind, other = relation
    phrases = words.RELATION_PHRASES[kind]
    there = [phrase for phrase in phrases if f" {phrase} " in caption]
    return f"the {names[subject]} is {max(there, key=len, default=phrases[0])} the {names[other]}"


def _around(table: str | None, light: str | None, caption: str = "") -> list[str]:
    """Table and light, in the words of `caption` where it has some for them."""
    lines = []
    if table is not None:
        phrase = words.TABLE_PHRASES[table][0]
        lines.append(f"it is on {phrase if 'cloth' in phrase else with_article(phrase)}")
    if light is not None:
        phrases = words.LIGHT_PHRASES[light]
        lines.append(f"it is in {next((one for one in phrases if one in caption), phrases[0])}")
    return lines


def _framed(extra: str) -> str:
    return f"it is {words.EXTRA_PHRASES[extra]}"


def _looks(fact: ObjectFact, told: ObjectFact, name: str) -> list[str]:
    looks = []
    if told.size is None and fact.size is not None:
        looks.append(words.SIZE_WORDS[fact.size][0])
    if told.finish is None and fact.finish is not None:
        looks.append(words.FINISH_WORDS[fact.finish][0])
    return [f"the {name} is {look}" for look in looks]
