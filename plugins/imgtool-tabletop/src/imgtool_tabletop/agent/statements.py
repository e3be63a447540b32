"""A prompt as statements and questions in the words that `tabletop/vlm` was taught."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from imgtool_tabletop.captions import words
from imgtool_tabletop.captions.grammar import with_article
from imgtool_tabletop.captions.parse import RELATION_OF, parse
from imgtool_tabletop.world.facts import Facts, ObjectFact

HOW_MANY: Final = "how many objects are there?"
EXACTLY: Final = re.compile(r"exactly (\w+) objects?")
PRONOUN: Final = re.compile(
    rf"\b({'|'.join(sorted(map(re.escape, RELATION_OF), key=len, reverse=True))}) (them|it|both)\b"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question.

    kind : `there`, `count`, `look`, `relation` or `around`. wrong : the error where it is answered
    no.
    """

    kind: str
    text: str
    wrong: str


def read(text: str) -> Facts:
    """What a text says of a scene; `behind them` means behind all that was named before."""
    text = " ".join(text.lower().split())
    facts, relations = parse(text), set[tuple[int, str, int]]()
    for match in PRONOUN.finditer(text):
        named = len(parse(text[: match.start()]).objects)
        before = range(named - 1) if match[2] != "it" else [named - 2]
        relations |= {(named - 1, RELATION_OF[match[1]], at) for at in before if at >= 0}
    return replace(facts, relations=facts.relations | relations)


def name_of(fact: ObjectFact) -> str:
    """`red cube`: what a solid is called in questions."""
    return " ".join(word for word in (fact.colour, fact.shape) if word)


def full_name(fact: ObjectFact) -> str:
    """`small shiny red cube`."""
    looks = [_word(look) for look in (fact.size, fact.finish) if look]
    return " ".join((*looks, name_of(fact)))


def statements(facts: Facts) -> list[str]:
    """Sentences that together say the facts; `read` reads each of them."""
    names = [full_name(fact) for fact in facts.objects]
    lines = [f"there is {with_article(name)}" for name in dict.fromkeys(names)]
    lines += [_relation(facts, relation) for relation in sorted(facts.relations)]
    if facts.objects:
        lines.append(f"there are exactly {_count(facts)} objects")
    return [*lines, *(f"it is {phrase}" for phrase in _around(facts))]


def questions(facts: Facts, exactly: str = "") -> list[Asked]:
    """Questions that a picture of the facts answers with yes.

    exactly : a number in words of which the picture is to have objects.
    """
    asked: dict[str, Asked] = {}

    def ask(kind: str, text: str, wrong: str) -> None:
        asked.setdefault(text, Asked(kind, text, wrong))

    for fact in facts.objects:
        named = with_article(name_of(fact))
        ask("there", f"is there {named}?", f"there is no {name_of(fact)}")
        for look in (fact.size, fact.finish):
            if look:
                word = _word(look)
                ask("look", f"is the {name_of(fact)} {word}?", f"the {name_of(fact)} is not {word}")
    for relation in sorted(facts.relations):
        said = _relation(facts, relation)
        subject, _, rest = said.partition(" is ")
        ask("relation", f"is {subject} {rest}?", f"{subject} is not {rest}")
    if exactly:
        wrong = f"there are not exactly {exactly} objects"
        ask("count", f"are there exactly {exactly} objects?", wrong)
    for phrase in _around(facts):
        ask("around", f"is it {phrase}?", f"it is not {phrase}")
    return list(asked.values())


def questions_of(text: str) -> list[Asked]:
    """Questions about what a statement, several or a question say."""
    exactly = EXACTLY.search(text.lower())
    return questions(read(text), exactly[1] if exactly else "")


def questions_of_prompt(prompt: str) -> list[Asked]:
    """Questions about a prompt: all that it says, and that there is nothing more."""
    facts = read(prompt)
    return questions(facts, _count(facts) if facts.objects else "")


def broken(asked: Sequence[Asked], truth: Facts) -> tuple[str, list[str]]:
    """A verdict on what is asked by what a caption says, and what is wrong by it."""
    said = [(one, _holds(one, truth)) for one in asked]
    wrong = [one.wrong for one, holds in said if holds is False]
    if wrong:
        return "error", wrong
    return ("match" if all(holds for _, holds in said) else "not_mentioned"), []


def _holds(asked: Asked, truth: Facts) -> bool | None:
    """Whether facts of a caption hold what is asked; None where they leave it open."""
    if asked.kind == "count":
        return _count(truth) in asked.text.split()
    facts = read(asked.text)
    if asked.kind in ("there", "look"):
        there = any(facts.objects[0].fits(other) for other in truth.objects)
        return there if asked.kind == "there" else None
    if asked.kind == "relation":
        return True if facts.holds_in(truth) else None
    named = (facts.table, truth.table) if facts.table else (facts.light, truth.light)
    return None if None in named else named[0] == named[1]


def _count(facts: Facts) -> str:
    number = len(facts.objects)
    return words.NUMBERS[number - 1] if 0 < number <= len(words.NUMBERS) else str(number)


def _relation(facts: Facts, relation: tuple[int, str, int]) -> str:
    subject, kind, other = relation
    phrase = words.RELATION_PHRASES[kind][0]
    return f"the {name_of(facts.objects[subject])} is {phrase} the {name_of(facts.objects[other])}"


def _around(facts: Facts) -> list[str]:
    found = []
    if facts.table is not None:
        table = words.TABLE_PHRASES[facts.table][0]
        found.append(f"on {table if 'cloth' in table else with_article(table)}")
    if facts.light is not None:
        found.append(f"in {words.LIGHT_PHRASES[facts.light][0]}")
    return found


def _word(look: str) -> str:
    return (words.SIZE_WORDS | words.FINISH_WORDS)[look][0]
