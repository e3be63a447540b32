"""What is better: a column as numbers to rank by, and which rows compete with one another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from imgtool.api import BadParams, Batch, Help, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

Among = Annotated[
    Literal["siblings", "run"], Help("Compare the children of each parent, or all rows.")
]
Lowest = Annotated[bool, Help("Smaller is better, also where the score does not say so.")]


def numbers_of(batch: Batch, name: str) -> list[float]:
    """A numeric column; a missing value is NaN.

    Raises
    ------
    BadParams : rows have no such field, or it holds no numbers.
    """
    if name not in batch:
        raise BadParams(
            f"rows have no field {name!r} to select by",
            f"Fields: {', '.join(sorted(batch.columns))}",
        )
    try:
        return batch.numbers(name)
    except (TypeError, ValueError):
        raise BadParams(f"field {name!r} holds no numbers") from None


def is_lower_better(records: Iterable[Any]) -> bool:
    """Whether the records that came with a score, `score_info.NAME`, say that smaller is better."""
    known = (record.get("better") for record in records if isinstance(record, dict))
    return next((better == "lower" for better in known if better), False)


def info_of(name: str) -> str:
    """The field with the records of the score `name`."""
    return f"score_info.{name.removeprefix('score.')}"


def gains(batch: Batch, name: str, lowest: bool = False) -> list[float]:
    """A number a row, larger is better; a missing or NaN value is minus infinity.

    A score says by its record, `score_info.NAME`, which way is better; `lowest` says it of the
    others.

    Raises
    ------
    BadParams : rows have no such field, or it holds no numbers.
    """
    records = batch.columns.get(info_of(name), ())
    sign = -1 if lowest or is_lower_better(records) else 1
    return [-math.inf if math.isnan(n) else sign * n for n in numbers_of(batch, name)]


def families(batch: Batch, scope: str = Scope.SIBLINGS) -> list[list[int]]:
    """Indices of the rows that compete with one another, in their order.

    Those of one parent; with `scope` `run`, all.
    """
    if scope == Scope.RUN:
        return [list(range(len(batch)))]
    members: dict[str, list[int]] = {}
    for index, row_id in enumerate(batch.ids):
        members.setdefault(row_id.rpartition(".")[0] or row_id, []).append(index)
    return list(members.values())
