"""DPG-Bench, Hu et al. (2024), arXiv 2403.05135: `dpg_bench.csv` and a folder of prompts.

A picture's score is the mean of its answers, no for every question of which a parent is no. The
published script differs: it leaves out the first row of the file, and takes its categories from
answers before that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from imgtool.api import InputUnreadable
from imgtool_score.suites.files import lines_of, records_of
from imgtool_score.suites.layouts.asked import document, file_in

if TYPE_CHECKING:
    from pathlib import Path

FILE = "dpg_bench.csv"
COLUMNS = ("item_id", "proposition_id", "dependency", "tuple", "question_natural_language")
SEEDS = 4
MOST_PROPOSITIONS = 500
# The name of a file beside the table: no path elsewhere.
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
NOT_IN_ID = re.compile(r"[^A-Za-z0-9_-]")


def read(path: Path) -> dict[str, Any]:
    """The document of the folder with `dpg_bench.csv` and `prompts/`, or of that file.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : with file and line.
    """
    file = file_in(path, FILE, f"dpg_bench/{FILE}")
    found: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for line, row in records_of(file, COLUMNS):
        found.setdefault(row["item_id"], []).append((line, row))
    for name, rows in found.items():
        if not NAME.fullmatch(name) or len(rows) > MOST_PROPOSITIONS:
            raise InputUnreadable(
                f"{file}:{rows[-1][0]}: item {name!r} has no usable id, or too many propositions"
            )
    items = [_item(name, rows, file) for name, rows in found.items()]
    return document("dpg-bench", items, SEEDS, picture="mean", binary=True, scale=100.0)


def _item(name: str, rows: list[tuple[int, dict[str, str]]], file: Path) -> dict[str, Any]:
    text = file.parent / "prompts" / f"{name}.txt"
    prompt = " ".join(line for _, line in lines_of(text))
    by_number = {_number(row["proposition_id"], file, line): (line, row) for line, row in rows}
    parents = {
        number: [p for p in _numbers(row["dependency"], file, line) if p]
        for number, (line, row) in by_number.items()
    }
    order = _parents_first(parents, by_number, file)
    place = {number: at for at, number in enumerate(order)}
    questions = [
        {
            "text": by_number[number][1]["question_natural_language"],
            "kind": by_number[number][1]["tuple"].partition("(")[0].partition("-")[0].strip(),
            "parents": sorted(place[p] for p in parents[number]),
        }
        for number in order
    ]
    return {"id": NOT_IN_ID.sub("_", name), "prompt": prompt, "questions": questions}


def _parents_first(
    parents: dict[int, list[int]], by_number: dict[int, tuple[int, Any]], file: Path
) -> list[int]:
    """Numbers of propositions, each after those that it depends on, else as they come."""
    order: list[int] = []
    while len(order) < len(parents):
        ready = [n for n in parents if n not in order and all(p in order for p in parents[n])]
        if not ready:
            stuck = next(number for number in parents if number not in order)
            raise InputUnreadable(
                f"{file}:{by_number[stuck][0]}: proposition {stuck} depends on one that is not "
                "there, or on itself"
            )
        order.append(ready[0])
    return order


def _number(text: str, file: Path, line: int) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputUnreadable(f"{file}:{line}: {text!r} is no proposition's number") from None


def _numbers(text: str, file: Path, line: int) -> list[int]:
    return [_number(part.strip(), file, line) for part in text.split(",")]
