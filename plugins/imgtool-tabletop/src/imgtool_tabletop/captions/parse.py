"""What a caption says of a scene: the inverse of the grammar, deaf to everything else."""

import re
from dataclasses import dataclass, field

from imgtool_tabletop.captions import words
from imgtool_tabletop.world.facts import Facts, ObjectFact
from imgtool_tabletop.world.scene import COLOURS


def _inverse(table: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {phrase: name for name, choices in table.items() for phrase in choices}


SHAPE_OF = _inverse(words.SHAPE_WORDS)
PLURAL_OF = {plural: SHAPE_OF[single] for single, plural in words.PLURALS.items()}
SIZE_OF = _inverse(words.SIZE_WORDS)
FINISH_OF = _inverse(words.FINISH_WORDS)
RELATION_OF = _inverse(words.RELATION_PHRASES)
ITS_RELATION_OF = {phrase: name for name, phrase in words.ITS_PHRASES.items()}
SURROUNDINGS = (
    ("table", _inverse(words.TABLE_PHRASES)),
    ("light", _inverse(words.LIGHT_PHRASES)),
    ("extra", {phrase: name for name, phrase in words.EXTRA_PHRASES.items()}),
)


@dataclass
class _Reading:
    """What has been read so far; `relation` waits for its second object."""

    objects: list[ObjectFact] = field(default_factory=list)
    relations: set[tuple[int, str, int]] = field(default_factory=set)
    last: int | None = None
    relation: str | None = None


def parse(text: str) -> Facts:
    """The facts that `text` says, in the grammar's words; words unknown to it are passed over.

    For every caption of a scene the result holds in the scene's facts.
    """
    lowered = " ".join(text.lower().split())
    found: dict[str, str | None] = {"table": None, "light": None}
    extras = set()
    for kind, table in SURROUNDINGS:
        for phrase in sorted(table, key=len, reverse=True):
            pattern = rf"\b{re.escape(phrase)}\b"
            if not re.search(pattern, lowered):
                continue
            if kind == "extra":
                extras.add(table[phrase])
            else:
                found[kind] = table[phrase]
            lowered = re.sub(pattern, " ", lowered)
    reading = _Reading()
    for sentence in lowered.split("."):
        reading.last, reading.relation = None, None
        _read_sentence(sentence, reading)
    return Facts(
        tuple(reading.objects),
        frozenset(reading.relations),
        found["table"],
        found["light"],
        None,
        frozenset(extras),
    )


def _read_sentence(sentence: str, reading: _Reading) -> None:
    tokens = re.findall(r"[a-z]+(?:-[a-z]+)*", sentence)
    at = 0
    with_object: int | None = None
    while at < len(tokens):
        phrase, length = _phrase(tokens, at)
        if phrase in ITS_RELATION_OF and reading.last is not None and with_object is not None:
            reading.relations.add((reading.last, ITS_RELATION_OF[phrase], with_object))
            at += length
        elif phrase in RELATION_OF:
            reading.relation = RELATION_OF[phrase]
            at += length
        else:
            if tokens[at] == "with":
                with_object = reading.last
            at += _read_object(tokens, at, reading)


def _phrase(tokens: list[str], at: int) -> tuple[str, int]:
    for length in (4, 3, 2, 1):
        phrase = " ".join(tokens[at : at + length])
        if len(tokens) - at >= length and (phrase in ITS_RELATION_OF or phrase in RELATION_OF):
            return phrase, length
    return "", 1


def _read_object(tokens: list[str], at: int, reading: _Reading) -> int:
    """Read an object that starts at `at`; returns how many words it took, at least one."""
    start = at
    definite, count = False, 1
    if tokens[at] in ("a", "an", "the", *words.NUMBERS):
        definite = tokens[at] == "the"
        count = words.NUMBERS.index(tokens[at]) + 1 if tokens[at] in words.NUMBERS else 1
        at += 1
    said: dict[str, str] = {}
    while at < len(tokens):
        word = tokens[at]
        if word in SIZE_OF:
            said["size"] = SIZE_OF[word]
        elif word in FINISH_OF:
            said["finish"] = FINISH_OF[word]
        elif word in COLOURS:
            said["colour"] = word
        else:
            break
        at += 1
    if at < len(tokens) and (tokens[at] in SHAPE_OF or tokens[at] in PLURAL_OF):
        said["shape"] = SHAPE_OF.get(tokens[at]) or PLURAL_OF[tokens[at]]
        fact = ObjectFact(said["shape"], said.get("colour"), said.get("size"), said.get("finish"))
        for _ in range(count):
            _mention(fact, definite, reading)
        return at + 1 - start
    return 1


def _mention(fact: ObjectFact, definite: bool, reading: _Reading) -> None:
    known = [i for i, other in enumerate(reading.objects) if fact.fits(other)] if definite else []
    if known:
        index = known[0]
    else:
        index = len(reading.objects)
        reading.objects.append(fact)
    if reading.relation is not None and reading.last is not None:
        reading.relations.add((reading.last, reading.relation, index))
        reading.relation = None
    reading.last = index
