"""The tabletop suites as documents: held-out prompts by category, with what each expects.

`tabletop` has one category a skill; `tabletop/captions` has captions as training draws them, most
pairs in them combinations that it never saw. Prompts are made of scenes, and scenes of other seeds,
rendered, are the truth by which the judge is measured.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from imgtool_tabletop.bench import CAPTIONS
from imgtool_tabletop.captions import words
from imgtool_tabletop.captions.grammar import describe, in_sentences, trim
from imgtool_tabletop.captions.parse import parse
from imgtool_tabletop.evaluate import Case, held_out_cases
from imgtool_tabletop.expecting import SIDES, expectation, facts_in_view, is_met
from imgtool_tabletop.scenes import numbered
from imgtool_tabletop.world.facts import Facts, ObjectFact, scene_facts
from imgtool_tabletop.world.scene import Scene

SCHEMA: Final = "imgtool.suite/1"
PER_CATEGORY: Final = 30
TRUTH_PER_CATEGORY: Final = 40
SEED: Final = 4096
TRUTH_SEED: Final = 8192
JUDGE: Final = {"stage": "judge.tabletop", "params": {}}

Question = dict[str, Any]
Told = tuple[str, list[Question]]


@dataclass(frozen=True)
class Category:
    """A skill.

    Attributes
    ----------
    kind, held_out : which scenes its prompts are made of. Of one solid, or of several alike, none
        is held out: training saw most of these there are.
    fits : whether what is true of a scene shows the skill.
    tell : prompt and questions of such facts.
    """

    name: str
    kind: str
    held_out: bool
    fits: Callable[[Facts], bool]
    tell: Callable[[Facts, random.Random], Told]

    def told(self, seed: int, count: int) -> Iterator[tuple[int, Scene, Told]]:
        """The first `count` scenes of a seed that fit and make a new prompt, with their numbers."""
        prompts: set[str] = set()
        for index in itertools.count():
            scene = numbered(seed, index, self.held_out, self.kind)
            facts = scene_facts(scene)
            if not self.fits(facts):
                continue
            prompt, questions = self.tell(facts, random.Random(f"{seed}:{index}"))
            if prompt not in prompts:
                prompts.add(prompt)
                yield index, scene, (prompt, questions)
            if len(prompts) == count:
                return


def _plain(facts: Facts) -> tuple[ObjectFact, ...]:
    return tuple(ObjectFact(fact.shape, fact.colour) for fact in facts.objects)


def _named(fact: ObjectFact) -> str:
    return f"{fact.colour or ''} {fact.shape or 'object'}".strip()


def _listed(objects: Sequence[ObjectFact]) -> str:
    return " and ".join(f"one {_named(fact)}" for fact in objects)


def ask_objects(objects: Sequence[ObjectFact]) -> Question:
    """Whether exactly these objects are there."""
    return {
        "text": f"Are the solids exactly {_listed(objects)}?",
        "kind": "objects",
        "expects": expectation(objects),
    }


def ask_side(objects: Sequence[ObjectFact], relation: tuple[int, str, int]) -> Question:
    """Whether one object is on the side of another that a caption says."""
    subject, side, other = relation
    pair = (objects[subject], objects[other])
    return {
        "text": f"Is the {_named(pair[0])} {side} the {_named(pair[1])}?",
        "kind": "sides",
        "expects": expectation(pair, [(0, side, 1)], exactly=False),
    }


def _side(facts: Facts) -> tuple[int, str, int] | None:
    return next((r for r in sorted(facts.relations) if r[1] in SIDES), None)


def _without_place(facts: Facts) -> Facts:
    return replace(facts, relations=frozenset())


def _single(facts: Facts, rng: random.Random) -> Told:
    told = _without_place(trim(facts, rng))
    return describe(told, rng), [ask_objects(_plain(facts))]


def _counting(facts: Facts, rng: random.Random) -> Told:
    fact, count = facts.objects[0], len(facts.objects)
    plural = words.PLURALS[words.SHAPE_WORDS[str(fact.shape)][0]]
    text = f"Is the number of {fact.colour} {plural} exactly {words.NUMBERS[count - 1]}?"
    question = {"text": text, "kind": "count", "expects": expectation(_plain(facts))}
    return f"{words.NUMBERS[count - 1]} {fact.colour} {plural}", [question]


def _colours(facts: Facts, rng: random.Random) -> Told:
    fact = _plain(facts)[0]
    question = {
        "text": f"Is the only solid {fact.colour}?",
        "kind": "colour",
        "expects": expectation([ObjectFact(None, fact.colour)]),
    }
    return describe(Facts((fact,)), rng), [question]


def _position(facts: Facts, rng: random.Random) -> Told:
    relation = _side(facts)
    assert relation is not None
    told = Facts(_plain(facts), frozenset({relation}))
    return describe(told, rng), [ask_objects(told.objects), ask_side(told.objects, relation)]


def _binding(facts: Facts, rng: random.Random) -> Told:
    told = _without_place(trim(facts, rng))
    questions = [
        {
            "text": f"Is there a {_named(fact)}?",
            "kind": "binding",
            "expects": expectation([fact], exactly=False),
        }
        for fact in _plain(facts)
    ]
    return describe(told, rng), questions


def _long(facts: Facts, rng: random.Random) -> Told:
    relation = _side(facts)
    assert relation is not None
    told = replace(facts, relations=frozenset({relation}), sun=None)
    extras = sorted(told.extras - {"mixed"})[: rng.random() < 0.6]
    light = told.light if rng.random() < 0.8 else None
    told = replace(told, extras=frozenset(extras), light=light)
    objects = _plain(facts)
    return in_sentences(told, rng), [ask_objects(objects), ask_side(objects, relation)]


def _distinct(facts: Facts) -> bool:
    return len(set(_plain(facts))) == len(facts.objects)


def _one(facts: Facts) -> bool:
    return len(facts.objects) == 1


def _two(facts: Facts) -> bool:
    return len(facts.objects) == 2 and _distinct(facts)


def _beside(facts: Facts) -> bool:
    return _distinct(facts) and _side(facts) is not None


def _alike(facts: Facts) -> bool:
    return len(facts.objects) > 1


def _bound(facts: Facts) -> bool:
    one, two = facts.objects[0], facts.objects[-1]
    return len(facts.objects) == 2 and one.colour != two.colour and one.shape != two.shape


def _two_beside(facts: Facts) -> bool:
    return _two(facts) and _beside(facts)


CATEGORIES: Final = (
    Category("single", "first", False, _one, _single),
    Category("two", "first", True, _two, _single),
    Category("counting", "same", False, _alike, _counting),
    Category("colours", "first", False, _one, _colours),
    Category("position", "first", True, _two_beside, _position),
    Category("binding", "first", True, _bound, _binding),
    Category("long", "three", True, _beside, _long),
)


def _items(category: Category, seed: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{category.name}-{at:03}",
            "prompt": prompt,
            "category": category.name,
            "questions": questions,
        }
        for at, (_, _, (prompt, questions)) in enumerate(category.told(seed, PER_CATEGORY))
    ]


def _truth(category: Category, seed: int) -> list[dict[str, Any]]:
    """Known scenes, each asked what its own prompt says and what its neighbour's does."""
    told = list(category.told(seed, TRUTH_PER_CATEGORY))
    rows = []
    for (index, scene, (_, own)), (_, _, (_, others)) in zip(
        told, [*told[1:], told[0]], strict=True
    ):
        there = facts_in_view(scene)
        asked = [*own, *others]
        rows.append(
            {
                "scene": {
                    "seed": seed,
                    "index": index,
                    "held_out": category.held_out,
                    "kind": category.kind,
                },
                "questions": asked,
                "expected": [int(is_met(question["expects"], there)) for question in asked],
            }
        )
    return rows


def _document(name: str, summary: str, items: list[dict[str, Any]], **rule: Any) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "name": name,
        "summary": summary,
        "judge": JUDGE,
        "rule": {"picture": "all", "binary": True, **rule},
        "items": items,
        "features": "features.judge",
        "truth": {
            "stage": "render.tabletop",
            "params": {},
            "rows": [row for at, c in enumerate(CATEGORIES) for row in _truth(c, TRUTH_SEED + at)],
        },
    }


def skills() -> dict[str, Any]:
    """The suite `tabletop`: its figure is the mean over categories."""
    items = [item for at, c in enumerate(CATEGORIES) for item in _items(c, SEED + at)]
    return _document(
        "tabletop",
        "Held-out prompts of the tabletop world, a category for each skill.",
        items,
        overall="categories",
    )


def captions() -> dict[str, Any]:
    """The suite `tabletop/captions`: its figure is the share with every object right."""
    return _document(
        "tabletop/captions",
        "Held-out captions of one or two solids, as training draws them.",
        [_caption_item(at, case) for at, case in enumerate(held_out_cases(CAPTIONS))],
        kinds=["objects"],
        headline="objects",
    )


def asked() -> set[str]:
    """Prompts of both suites: what a model must not be tuned or calibrated on."""
    told = (item["prompt"] for at, c in enumerate(CATEGORIES) for item in _items(c, SEED + at))
    return {*told, *(case.prompt for case in held_out_cases(CAPTIONS))}


def _caption_item(at: int, case: Case) -> dict[str, Any]:
    asked = [ask_objects(tuple(ObjectFact(f.shape, f.colour) for f in case.objects))]
    if case.side is not None:
        asked.append(ask_side(case.objects, case.side))
    return {
        "id": f"caption-{at:03}",
        "prompt": case.prompt,
        "category": "single" if len(case.objects) == 1 else "double",
        "questions": asked,
    }


def questions_of(prompt: str) -> list[Question]:
    """What a prompt says in the words of the tabletop world; nothing where it names no solid."""
    facts = parse(prompt)
    if not facts.objects:
        return []
    relation = _side(facts)
    objects = _plain(facts)
    asked = [ask_objects(objects)]
    return asked if relation is None else [*asked, ask_side(objects, relation)]
