"""Past rows with their scores, as the choices that drew them and the prompts they were given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.api import BadParams, InputUnreadable
from imgtool.builtin.select.alike import stacked
from imgtool.builtin.select.ranking import info_of, is_lower_better
from imgtool.builtin.select.routing import Choice, Vectors, Words

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from pathlib import Path

    from imgtool.builtin.select.route import RouteParams

    PastRow = Mapping[str, Any]


@dataclass(frozen=True)
class Past:
    """What was tried, and on which prompts.

    Attributes
    ----------
    choices : in the order in which they were first tried; larger scores are better.
    prompts : the past prompts, to find those near another.
    sign : -1 where the scores were turned round, since smaller ones are better.
    """

    choices: list[Choice]
    prompts: Words | Vectors
    sign: int


def read_past(path: Path, params: RouteParams) -> Past:
    """The past that a table of rows tells.

    Raises
    ------
    InputMissing, InputEmpty, InputUnreadable : as the names say.
    BadParams : rows lack a field that is named.
    """
    from imgtool.inputs import TABLES, read_rows

    if path.suffix.lower() not in TABLES:
        raise InputUnreadable(
            f"{str(path)!r} is no table of past rows", "Write one with --json: .jsonl, or a .csv"
        )
    every = list(read_rows([str(path)]))
    rows = [row for row in every if not math.isnan(_number(row, params.by))]
    if not rows:
        raise BadParams(f"no past row has a number in {params.by!r}", _fields(every))
    records = (row.get(info_of(params.by)) for row in rows)
    sign = -1 if params.lowest or is_lower_better(records) else 1
    keys = [_key(row, params.on) for row in rows]
    order = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    first = {key: row for key, row in reversed(list(zip(keys, rows, strict=True)))}
    choices = _choices(rows, [order[key] for key in keys], params, sign)
    return Past(choices, _prompts([first[key] for key in order], params.on), sign)


def _choices(
    rows: Sequence[PastRow], prompts: Sequence[int], params: RouteParams, sign: int
) -> list[Choice]:
    scores: dict[str, dict[int, list[float]]] = {}
    costs: dict[str, list[float]] = {}
    for row, prompt in zip(rows, prompts, strict=True):
        name = " ".join(str(_given(row, field)) for field in params.of)
        found = scores.setdefault(name, {}).setdefault(prompt, [])
        found.append(sign * _number(row, params.by))
        costs.setdefault(name, []).append(_cost(row, params))
    return [
        Choice(name, _mean(costs[name]), {prompt: _mean(found) for prompt, found in of.items()})
        for name, of in scores.items()
    ]


def _prompts(rows: Sequence[PastRow], on: str) -> Words | Vectors:
    if not on:
        return Words([_given(row, "prompt") for row in rows])
    vectors = stacked([_given(row, on) for row in rows])
    if vectors is None:
        raise BadParams(f"field {on!r} of the past rows holds no vectors of one size")
    return Vectors(vectors)


def _key(row: PastRow, on: str) -> Hashable:
    return str(_given(row, on or "prompt"))


def _cost(row: PastRow, params: RouteParams) -> float:
    cost = _number(row, params.cost)
    if math.isnan(cost) and params.price:
        raise BadParams(f"past row {row['id']!r} has no number in {params.cost!r}", _fields([row]))
    return 0.0 if math.isnan(cost) else cost


def _given(row: PastRow, field: str) -> Any:
    if row.get(field) in (None, ""):
        raise BadParams(f"past row {row['id']!r} has no {field!r}", _fields([row]))
    return row[field]


def _number(row: PastRow, field: str) -> float:
    try:
        return float(row[field])  # in a .csv, numbers are texts
    except (KeyError, TypeError, ValueError):
        return math.nan


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def _fields(rows: Sequence[PastRow]) -> str:
    return f"Fields: {', '.join(sorted({name for row in rows for name in row}))}"
