"""Captions of scenes: paraphrases from two words to five sentences, all of them true."""

import random
from dataclasses import replace
from typing import Final

from imgtool_tabletop.captions import words
from imgtool_tabletop.world.facts import Facts, ObjectFact


def name_object(fact: ObjectFact, rng: random.Random) -> str:
    """`small shiny red cube`: the words of one object, without an article."""
    parts = []
    if fact.size is not None:
        parts.append(rng.choice(words.SIZE_WORDS[fact.size]))
    if fact.finish is not None:
        parts.append(rng.choice(words.FINISH_WORDS[fact.finish]))
    if fact.colour is not None:
        parts.append(fact.colour)
    shape = fact.shape or "sphere"
    choices = words.SHAPE_WORDS[shape]
    parts.append(choices[0] if rng.random() < 0.8 else rng.choice(choices))
    return " ".join(parts)


def with_article(name: str) -> str:
    """`a red cube`."""
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def trim(facts: Facts, rng: random.Random, extras: float = 0.06) -> Facts:
    """What one caption says: colours and shapes always, at most one relation, the rest at times.

    extras : how likely each true word of framing, clutter and harmony is said.
    """
    objects = tuple(
        replace(
            fact,
            size=fact.size if fact.size != "medium" and rng.random() < 0.35 else None,
            finish=fact.finish
            if rng.random() < (0.35 if fact.finish != "matte" else 0.12)
            else None,
        )
        for fact in facts.objects
    )
    return Facts(
        objects,
        frozenset({rng.choice(sorted(facts.relations))}) if _relates(facts, rng) else frozenset(),
        facts.table if rng.random() < 0.3 else None,
        facts.light if rng.random() < (0.12 if facts.light == "noon" else 0.5) else None,
        None,
        frozenset(e for e in sorted(facts.extras) if rng.random() < extras and e != "mixed"),
    )


def describe(facts: Facts, rng: random.Random) -> str:
    """A caption that says the objects of `facts`, its first relation and its surroundings."""
    names = [name_object(fact, rng) for fact in facts.objects]
    relation = min(facts.relations, default=None)
    core = _core(names, relation, rng)
    distinct = len({(fact.colour, fact.shape) for fact in facts.objects}) == len(names)
    long = rng.random() < 0.12 and distinct
    if long and relation is not None:
        return _sentences(names, relation, facts, rng)
    return _opening(rng) + core + _surroundings(facts, rng)


def in_sentences(facts: Facts, rng: random.Random) -> str:
    """A caption of two to five sentences that says the same; `facts` has a relation."""
    names = [name_object(fact, rng) for fact in facts.objects]
    return _sentences(names, min(facts.relations), facts, rng)


def _relates(facts: Facts, rng: random.Random) -> bool:
    return bool(facts.relations) and rng.random() >= 0.1


def _core(names: list[str], relation: tuple[int, str, int] | None, rng: random.Random) -> str:
    articled = [with_article(name) for name in names]
    if len(names) == 2 and names[0] == names[1] and relation is None:
        first, _, shape = names[0].rpartition(" ")
        return f"two {first} {words.PLURALS[shape]}"
    if relation is None:
        order = rng.sample(articled, len(articled))
        return _listed(order)
    subject, kind, other = relation
    phrase = rng.choice(words.RELATION_PHRASES[kind])
    rest = [articled[i] for i in range(len(names)) if i not in (subject, other)]
    verb = "is " if rng.random() < 0.15 else ""
    if rng.random() < 0.12 and not rest:
        return f"{articled[other]} with {articled[subject]} {words.ITS_PHRASES[kind]}"
    core = f"{articled[subject]} {verb}{phrase} {articled[other]}"
    return f"{core} and {_listed(rest)}" if rest else core


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def _opening(rng: random.Random) -> str:
    if rng.random() < 0.75:
        return ""
    return rng.choice(("a photo of ", "a picture of ", "an image of ", "there is ", "a render of "))


def _surroundings(facts: Facts, rng: random.Random) -> str:
    parts = []
    if facts.table is not None:
        phrase = rng.choice(words.TABLE_PHRASES[facts.table])
        parts.append(f" on {with_article(phrase) if 'cloth' not in phrase else phrase}")
    if facts.light is not None:
        joint = rng.choice((" in ", ", in "))
        parts.append(joint + rng.choice(words.LIGHT_PHRASES[facts.light]))
    parts += [f", {words.EXTRA_PHRASES[extra]}" for extra in sorted(facts.extras)]
    return "".join(parts)


def _sentences(
    names: list[str], relation: tuple[int, str, int], facts: Facts, rng: random.Random
) -> str:
    subject, kind, other = relation
    phrase = words.RELATION_PHRASES[kind][0]
    lines = [f"There is {_listed([with_article(name) for name in names])}."]
    lines.append(f"The {names[subject]} is {phrase} the {names[other]}.")
    if facts.table is not None:
        lines.append(f"The table is {rng.choice(words.TABLE_PHRASES[facts.table])}.")
    if facts.light is not None:
        lines.append(f"The light is {rng.choice(words.LIGHT_PHRASES[facts.light])}.")
    lines += [f"It is {words.EXTRA_PHRASES[extra]}." for extra in sorted(facts.extras)]
    return " ".join(lines)


def caption(facts: Facts, seed: object) -> str:
    """One caption of a scene with these facts; equal seeds give equal captions."""
    rng = random.Random(f"caption:{seed}")
    return describe(trim(facts, rng), rng)


def swapped(facts: Facts, rng: random.Random) -> Facts:
    """`facts` made false by one change: a hard negative for contrastive training."""
    if rng.random() < 0.2 and (elsewhere := _elsewhere(facts, rng)) != facts:
        return elsewhere
    objects = list(facts.objects)
    one, two = objects[0], objects[-1]
    if (
        one.colour != two.colour
        and one.shape != two.shape
        and len(objects) == 2
        and rng.random() < 0.5
    ):
        first, second = objects[0].colour, objects[1].colour
        objects[0] = replace(objects[0], colour=second)
        objects[1] = replace(objects[1], colour=first)
        return replace(facts, objects=tuple(objects))
    if facts.relations and rng.random() < 0.5:
        turned = frozenset((j, kind, i) for i, kind, j in facts.relations)
        return replace(facts, relations=turned)
    from imgtool_tabletop.world.scene import COLOURS, SHAPES

    which = rng.randrange(len(objects))
    if rng.random() < 0.5:
        others = [c for c in COLOURS if c != objects[which].colour]
        objects[which] = replace(objects[which], colour=rng.choice(others))
    else:
        shapes = [s for s in SHAPES if s != objects[which].shape]
        objects[which] = replace(objects[which], shape=rng.choice(shapes))
    return replace(facts, objects=tuple(objects))


OPPOSITES: Final = {
    "matching": "contrasting",
    "contrasting": "matching",
    "close-up": "wide shot",
    "wide shot": "close-up",
    "empty": "cluttered",
    "cluttered": "empty",
}


def _elsewhere(facts: Facts, rng: random.Random) -> Facts:
    """The same objects in other surroundings; `facts` itself where it says nothing of them."""
    turned = frozenset(OPPOSITES.get(extra, extra) for extra in facts.extras)
    if turned != facts.extras:
        return replace(facts, extras=turned)
    if facts.table is not None:
        others = sorted(table for table in words.TABLE_PHRASES if table != facts.table)
        return replace(facts, table=rng.choice(others))
    if facts.light is not None:
        others = sorted(light for light in words.LIGHT_PHRASES if light != facts.light)
        return replace(facts, light=rng.choice(others))
    return facts
