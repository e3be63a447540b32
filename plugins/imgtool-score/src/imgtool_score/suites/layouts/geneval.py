"""GenEval, Ghosh et al. (2023), arXiv 2310.11513: `evaluation_metadata.jsonl`.

The paper finds objects with a detector. Here a model answers questions made of the same metadata,
so figures are comparable among models judged alike, not with the paper's table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool.api import InputUnreadable
from imgtool_score.suites.files import objects_of
from imgtool_score.suites.layouts.asked import document, file_in, with_article

if TYPE_CHECKING:
    from pathlib import Path

FILE = "evaluation_metadata.jsonl"
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SEEDS = 4


def read(path: Path) -> dict[str, Any]:
    """The document of a folder with `evaluation_metadata.jsonl`, or of that file.

    A picture is right where all answers are yes; the figure is the mean over the six tasks.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : with file and line.
    """
    file = file_in(path, FILE, f"prompts/{FILE}")
    items = [
        _item(index, value, f"{file}:{line}")
        for index, (line, value) in enumerate(objects_of(file))
    ]
    return document("geneval", items, SEEDS, picture="all", overall="categories", binary=True)


def _item(index: int, value: dict[str, Any], where: str) -> dict[str, Any]:
    for name in ("tag", "prompt"):
        if not isinstance(value.get(name), str):
            raise InputUnreadable(f"{where} has no text {name!r}")
    include, exclude = value.get("include"), value.get("exclude", [])
    if not isinstance(include, list) or not include or not isinstance(exclude, list):
        raise InputUnreadable(f"{where} has no list 'include' of what must be there")
    most = {_named(thing, where): _count(thing, where) - 1 for thing in exclude}
    questions: list[dict[str, Any]] = []
    last: list[int] = []
    for thing in include:
        last.append(_ask(questions, thing, most, where))
    for at, thing in enumerate(include):
        if "position" in thing:
            questions.append(_position(include, at, last, where))
    return {
        "id": f"{index:05}",
        "prompt": value["prompt"],
        "category": value["tag"],
        "questions": questions,
    }


def _named(thing: object, where: str) -> str:
    name = thing.get("class") if isinstance(thing, dict) else None
    if not isinstance(name, str) or not name:
        raise InputUnreadable(f"{where} has an object without a class")
    return name


def _count(thing: dict[str, Any], where: str) -> int:
    count = thing.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 < count < len(NUMBERS):
        raise InputUnreadable(f"{where} has the count {count!r}")
    return count


def _ask(
    questions: list[dict[str, Any]], thing: dict[str, Any], most: dict[str, int], where: str
) -> int:
    """Ask for one thing, its number and its colour; the index of the last question."""
    name, count = _named(thing, where), _count(thing, where)
    parent = len(questions)
    questions.append({"text": f"Is there {with_article(name)}?", "kind": "object"})
    if count > 1 or name in most:
        exactly = "exactly" if most.get(name) == count else "at least"
        text = f"Is the number of {name} objects {exactly} {NUMBERS[count]}?"
        questions.append({"text": text, "kind": "count", "parents": [parent]})
    if "color" in thing:
        text = f"Is the {name} {thing['color']}?"
        questions.append({"text": text, "kind": "colour", "parents": [parent]})
    return len(questions) - 1


def _position(
    include: list[dict[str, Any]], at: int, last: list[int], where: str
) -> dict[str, Any]:
    said = include[at]["position"]
    if (
        not isinstance(said, list)
        or len(said) != 2
        or not isinstance(said[1], int)
        or not 0 <= said[1] < len(include)
    ):
        raise InputUnreadable(f"{where} has the position {said!r}")
    relation, other = said
    text = f"Is the {include[at]['class']} {relation} the {include[other]['class']}?"
    return {"text": text, "kind": "position", "parents": sorted({last[at], last[other]})}
