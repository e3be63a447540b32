"""The one full caption of a scene, and questions about it with their answers."""

import random
from dataclasses import dataclass, replace
from typing import Final

from imgtool_tabletop.captions import words
from imgtool_tabletop.captions.grammar import describe, swapped, trim, with_article
from imgtool_tabletop.world.facts import INVERSE, RELATIONS, Facts, ObjectFact, scene_facts
from imgtool_tabletop.world.scene import COLOURS, FINISHES, LIGHTS, SHAPES, SIZES, TABLES, Scene

YES_NO: Final = ("there", "relation", "look", "around", "shows")
"""Kinds of question whose answer is yes or no, each as often one as the other."""

SHOWS: Final = 'does this figure show "{}"? please answer yes or no.'
"""The question that VQAScore (Lin et al. 2024, arXiv 2404.01291) asks of a caption."""

REQUESTS: Final = (
    "describe this image.",
    "what is in this picture?",
    "describe this image in detail.",
    "what do you see?",
)
"""Questions whose answer is the full caption; asking nothing gives the same."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question of one kind and its answer."""

    kind: str
    text: str
    answer: str


def reading_order(scene: Scene) -> list[int]:
    """Indices of solids from left to right; one that stands on another comes just before it."""

    def place(index: int) -> tuple[float, int, float]:
        foot = index
        while (below := scene.solids[foot].support) is not None:
            foot = below
        return scene.camera.project(scene.solids[foot].centre)[0], foot, -scene.solids[index].base

    return sorted(range(len(scene.solids)), key=place)


def full_caption(scene: Scene) -> str:
    """Every solid with what sets it apart, one relation, table and light: one text a scene.

    `parse` reads all of it back.
    """
    facts, order = scene_facts(scene), reading_order(scene)
    names = [with_article(_full_name(facts.objects[index])) for index in order]
    at, relation = _told_relation(facts, order)
    text = names[0]
    for place, name in enumerate(names[1:], 1):
        joint = " and " if place == len(names) - 1 else ", "
        text += (f" {words.RELATION_PHRASES[relation][0]} " if place == at else joint) + name
    table = words.TABLE_PHRASES[str(facts.table)][0]
    light = words.LIGHT_PHRASES[str(facts.light)][0]
    return f"{text} on {table if 'cloth' in table else with_article(table)} in {light}"


def _full_name(fact: ObjectFact) -> str:
    size = "" if fact.size in (None, "medium") else f"{words.SIZE_WORDS[str(fact.size)][0]} "
    finish = "" if fact.finish in (None, "matte") else f"{words.FINISH_WORDS[str(fact.finish)][0]} "
    return f"{size}{finish}{_name(fact)}"


def _name(fact: ObjectFact) -> str:
    return f"{fact.colour} {fact.shape}"


def _told_relation(facts: Facts, order: list[int]) -> tuple[int, str]:
    """The relation of neighbours that is told, with the second one's place; 0: none."""
    held = [
        (kind != "on top of", place, RELATIONS.index(kind))
        for place in range(1, len(order))
        for kind in RELATIONS
        if (order[place - 1], kind, order[place]) in facts.relations
    ]
    if not held:
        return 0, ""
    _, place, kind_index = min(held)
    return place, RELATIONS[kind_index]


def questions(facts: Facts, rng: random.Random) -> list[Question]:
    """Some questions about a scene of these facts, none of them ambiguous."""
    alone = [
        index
        for index, fact in enumerate(facts.objects)
        if sum(_name(fact) == _name(other) for other in facts.objects) == 1
    ]
    asked = [_there(facts, rng), _there(facts, rng), _around(facts, rng)]
    asked += [ask for ask in (_relation(facts, alone, rng), _subject(facts, alone, rng)) if ask]
    asked += [*_unique(facts, rng)]
    if alone:
        asked.append(_look(facts.objects[rng.choice(alone)], rng))
    if rng.random() < 0.5:
        asked.append(_count(facts))
    if rng.random() < 0.25:
        asked.append(_shows(facts, rng))
    return asked


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def _there(facts: Facts, rng: random.Random) -> Question:
    truth = rng.random() < 0.5
    true = rng.choice(facts.objects)
    known = {(fact.colour, fact.shape) for fact in facts.objects}
    form = rng.random()
    if form < 0.2:
        return _there_part("colour", {str(f.colour) for f in facts.objects}, COLOURS, truth, rng)
    if form < 0.4:
        return _there_part("shape", {str(f.shape) for f in facts.objects}, SHAPES, truth, rng)
    if truth:
        pair = (true.colour, true.shape)
    else:
        # Mostly what is nearly there: another colour of this shape, another shape of this colour.
        colours = [true.colour] if rng.random() < 0.4 else list(COLOURS)
        shapes = [true.shape] if rng.random() < 0.5 and len(colours) > 1 else list(SHAPES)
        absent = [(c, s) for c in colours for s in shapes if (c, s) not in known]
        pair = rng.choice(
            absent or [(c, s) for c in COLOURS for s in SHAPES if (c, s) not in known]
        )
    return Question("there", f"is there {with_article(f'{pair[0]} {pair[1]}')}?", _yes(truth))


def _there_part(
    attribute: str, present: set[str], every: tuple[str, ...], truth: bool, rng: random.Random
) -> Question:
    absent = [value for value in every if value not in present]
    truth = truth or not absent
    value = rng.choice(sorted(present) if truth else absent)
    name = f"{value} object" if attribute == "colour" else value
    return Question("there", f"is there {with_article(name)}?", _yes(truth))


def _relation(facts: Facts, alone: list[int], rng: random.Random) -> Question | None:
    held = [r for r in sorted(facts.relations) if r[0] in alone and r[2] in alone]
    if not held:
        return None
    subject, kind, other = rng.choice(held)
    truth = rng.random() < 0.5
    if not truth and kind == "on top of":
        subject, other = other, subject
    elif not truth:
        kind = INVERSE[kind]
    phrase = words.RELATION_PHRASES[kind][0]
    names = _name(facts.objects[subject]), _name(facts.objects[other])
    return Question("relation", f"is the {names[0]} {phrase} the {names[1]}?", _yes(truth))


def _subject(facts: Facts, alone: list[int], rng: random.Random) -> Question | None:
    """What is in some relation to one solid: asked where one alone is, or nothing on top."""
    if not alone:
        return None
    other = rng.choice(alone)
    kind = rng.choice([*RELATIONS, "on top of"])
    found = [i for i, name, j in facts.relations if (name, j) == (kind, other)]
    if len(found) > 1 or (not found and kind != "on top of"):
        return None
    answer = with_article(_name(facts.objects[found[0]])) if found else "nothing"
    phrase = words.RELATION_PHRASES[kind][0]
    return Question("what", f"what is {phrase} the {_name(facts.objects[other])}?", answer)


def _unique(facts: Facts, rng: random.Random) -> list[Question]:
    """Colour of the only solid of a shape, shape of the only one of a colour."""
    shapes = [fact.shape for fact in facts.objects]
    colours = [fact.colour for fact in facts.objects]
    by_shape = [fact for fact in facts.objects if shapes.count(fact.shape) == 1]
    by_colour = [fact for fact in facts.objects if colours.count(fact.colour) == 1]
    asked = []
    if by_shape:
        fact = rng.choice(by_shape)
        asked.append(Question("colour", f"what colour is the {fact.shape}?", str(fact.colour)))
    if by_colour:
        fact = rng.choice(by_colour)
        text = f"what shape is the {fact.colour} object?"
        asked.append(Question("shape", text, str(fact.shape)))
    return asked


def _look(fact: ObjectFact, rng: random.Random) -> Question:
    truth = rng.random() < 0.5
    true, every = (fact.size, SIZES) if rng.random() < 0.5 else (fact.finish, FINISHES)
    value = str(true) if truth else rng.choice([v for v in every if v != true])
    word = (words.SIZE_WORDS | words.FINISH_WORDS)[value][0]
    return Question("look", f"is the {_name(fact)} {word}?", _yes(truth))


def _around(facts: Facts, rng: random.Random) -> Question:
    truth = rng.random() < 0.5
    true, every = (facts.table, TABLES) if rng.random() < 0.5 else (facts.light, LIGHTS)
    value = str(true) if truth else rng.choice([v for v in every if v != true])
    phrase = (words.TABLE_PHRASES | words.LIGHT_PHRASES)[value][0]
    if every is TABLES:
        phrase = phrase if "cloth" in phrase else with_article(phrase)
        return Question("around", f"is it on {phrase}?", _yes(truth))
    return Question("around", f"is it {phrase}?", _yes(truth))


def _count(facts: Facts) -> Question:
    answer = words.NUMBERS[len(facts.objects) - 1]
    return Question("count", "how many objects are there?", answer)


def _shows(facts: Facts, rng: random.Random) -> Question:
    told = replace(trim(facts, rng), extras=frozenset())
    lie = swapped(told, rng)
    truth = rng.random() < 0.5 or lie.holds_in(facts)
    return Question("shows", SHOWS.format(describe(told if truth else lie, rng)), _yes(truth))
