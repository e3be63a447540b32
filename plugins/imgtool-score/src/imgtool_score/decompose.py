"""A prompt as small yes-or-no questions that depend on one another, by rules alone.

Made for plain descriptions such as `a red cube to the left of two blue cones on a wooden table`:
things with counts and looks, and how two things stand to one another. What it cannot take apart
it asks for whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COUNTS = {
    name: number
    for number, name in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=2
    )
}
ARTICLES = frozenset({"a", "an", "the", "one", "some"})
# Longest first: `in front of` is no `in`.
RELATIONS = (
    "to the left of", "to the right of", "on the left of", "on the right of", "in front of",
    "on top of", "next to", "left of", "right of", "inside of", "close to", "between", "behind",
    "beside", "beneath", "below", "above", "under", "inside", "against", "near", "over", "on",
    "in",
)  # fmt: skip
JOINT = re.compile(r"\s*[,;.]\s*(?:and\s+)?|\s+and\s+")
RELATION = re.compile(r"\s+(" + "|".join(map(re.escape, RELATIONS)) + r")\s+")
PLAIN = re.compile(r"[A-Za-z][A-Za-z'’-]*")
MOST_WORDS = 6


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes
    ----------
    kind : `entity`, `count`, `attribute`, `relation` or `whole`.
    parents : indices of questions; where one of them fails, this one counts as failed.
    """

    text: str
    kind: str
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Thing:
    """A noun with what is said of it."""

    noun: str
    looks: tuple[str, ...]
    count: int

    @property
    def name(self) -> str:
        """Looks and noun, as they are asked for."""
        return " ".join((*self.looks, self.noun))


def questions_of(prompt: str) -> list[Question]:
    """Questions about a prompt, parents before children; one for the whole where rules fail."""
    text = re.sub(r"\s+", " ", prompt.strip().strip(".")).lower()
    links: list[tuple[Thing, str, Thing]] = []
    things: list[Thing] = []
    for clause in filter(None, JOINT.split(text)):
        parts = RELATION.split(clause)
        found = [_thing(part) for part in parts[::2]]
        if any(thing is None for thing in found):
            return [Question(f"does the picture show {text}?", "whole")]
        named = [thing for thing in found if thing is not None]
        things += named
        links += zip(named, parts[1::2], named[1:], strict=False)
    return _asked(list(dict.fromkeys(things)), links)


def phrases_of(prompt: str) -> list[str]:
    """The things that a prompt names, with their looks: `a red cube` is `red cube`."""
    text = re.sub(r"\s+", " ", prompt.strip().strip(".")).lower()
    parts = [part for clause in JOINT.split(text) for part in RELATION.split(clause)[::2]]
    return list(dict.fromkeys(thing.name for part in parts if (thing := _thing(part))))


def _thing(phrase: str) -> Thing | None:
    words = phrase.split()
    words = words[1:] if words and words[0] in ARTICLES else words
    count = COUNTS.get(words[0], 1) if words else 1
    words = words[1:] if count > 1 else words
    if not 0 < len(words) <= MOST_WORDS or not all(PLAIN.fullmatch(word) for word in words):
        return None
    return Thing(words[-1], tuple(words[:-1]), count)


def _asked(things: Sequence[Thing], links: Sequence[tuple[Thing, str, Thing]]) -> list[Question]:
    found: list[Question] = []
    # The most particular question of each thing: relations depend on it.
    last: dict[Thing, int] = {}
    for thing in things:
        entity = _place(found, Question(_there(thing, ()), "entity"))
        last[thing] = entity
        for look in thing.looks:
            last[thing] = _place(found, Question(_there(thing, (look,)), "attribute", (entity,)))
        if thing.count > 1:
            number = next(name for name, count in COUNTS.items() if count == thing.count)
            text = f"are there {number} {thing.name}?"
            last[thing] = _place(found, Question(text, "count", (entity,)))
    for one, relation, two in links:
        verb = "are" if one.count > 1 else "is"
        text = f"{verb} the {one.name} {relation} the {two.name}?"
        parents = tuple(dict.fromkeys((last[one], last[two])))
        _place(found, Question(text, "relation", parents))
    return found


def _there(thing: Thing, looks: tuple[str, ...]) -> str:
    name = " ".join((*looks, thing.noun))
    if thing.count > 1:
        return f"are there {name}?"
    return f"is there {'an' if name[0] in 'aeiou' else 'a'} {name}?"


def _place(found: list[Question], question: Question) -> int:
    if question not in found:
        found.append(question)
    return found.index(question)


def settled(p: Sequence[float], questions: Sequence[Question], pass_at: float) -> list[float]:
    """The probabilities, 0 for each question of which a parent failed. Parents come first.

    A question fails when its settled probability is below `pass_at`.
    """
    values: list[float] = []
    for chance, question in zip(p, questions, strict=True):
        failed = any(values[parent] < pass_at for parent in question.parents)
        values.append(0.0 if failed else chance)
    return values


def given_questions(value: object) -> list[Question]:
    """Questions from a row's record: a list of `{"text": …, "parents": [indices]}`.

    Raises
    ------
    ValueError : it is no such list, or a parent does not come before its child.
    """
    if not isinstance(value, list) or not value:
        raise ValueError("is no list of questions")
    found: list[Question] = []
    for item in value:
        found.append(_given(item, len(found)))
    return found


def _given(item: object, at: int) -> Question:
    if isinstance(item, str):
        return Question(item, "given")
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        raise ValueError(f"question {at} has no 'text'")
    record: Mapping[str, object] = item
    parents = record.get("parents", [])
    if not isinstance(parents, list) or not all(
        isinstance(p, int) and 0 <= p < at for p in parents
    ):
        raise ValueError(f"question {at}: parents are indices of questions before it")
    return Question(str(item["text"]), str(record.get("kind", "given")), tuple(parents))
