"""Reads human grades and metric scores of pictures, each named by its prompt and its model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from imgtool.api import BadParams, InputUnreadable
from imgtool_score.suites.files import rows_of
from imgtool_score.suites.results import read_results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Grades: TypeAlias = "dict[tuple[str, str], float]"
PROMPT_NAMES = ("item", "prompt_id", "prompt")
RESULTS = "score"


def read_human(path: Path) -> Grades:
    """(prompt, model) to grade, higher better, from `rank` (1 is best) or `grade`.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : with file and line.
    """
    grades: Grades = {}
    for line, row in rows_of(path, ("model",)):
        where = f"{path}:{line}"
        if row.get("grade") not in (None, ""):
            value = _number(row["grade"], "grade", where)
        else:
            value = -_number(row.get("rank"), "rank", where)
        _put(grades, row, value, where)
    return grades


def read_metrics(paths: Sequence[Path], names: Sequence[str]) -> dict[str, Grades]:
    """For each metric, (prompt, model) to score.

    Parameters
    ----------
    paths : `.csv` or `.jsonl` with `item` or `prompt`, `model` and a column a metric; or results of
        `bench run`, one file a model, whose metric is called `score`.
    names : metrics to read; none: every column `score.…`, or `score` of results.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : with file and line.
    BadParams : there is no such metric.
    """
    found: dict[str, Grades] = {}
    for path in paths:
        if path.suffix.lower() == ".json":
            _add_results(found, path)
        else:
            _add_table(found, path, names)
    wanted = names or tuple(found)
    for name in wanted:
        if not found.get(name):
            raise BadParams(
                f"no metric {name!r} in {', '.join(map(str, paths))}",
                f"Columns: {', '.join(found) or 'none'}; --metric NAME names another",
            )
    if not wanted:
        raise BadParams("no column is called score.…", "--metric NAME names one")
    return {name: found[name] for name in wanted}


def _add_results(found: dict[str, Grades], path: Path) -> None:
    results = read_results(path)
    sums: dict[str, list[float]] = {}
    for row in results.rows:
        sums.setdefault(row["item"], []).append(float(row["score"]))
    own = found.setdefault(RESULTS, {})
    own |= {(item, results.name): sum(v) / len(v) for item, v in sums.items()}


def _add_table(found: dict[str, Grades], path: Path, names: Sequence[str]) -> None:
    for line, row in rows_of(path, ("model",)):
        where = f"{path}:{line}"
        columns = names or [name for name in row if name.startswith("score.")]
        for name in columns:
            if row.get(name) not in (None, ""):
                _put(found.setdefault(name, {}), row, _number(row[name], name, where), where)


def _put(grades: Grades, row: Mapping[str, Any], value: float, where: str) -> None:
    prompt = next((str(row[name]) for name in PROMPT_NAMES if row.get(name) not in (None, "")), "")
    if not prompt:
        raise InputUnreadable(f"{where} names no prompt", f"Fields: {', '.join(PROMPT_NAMES)}")
    key = prompt, str(row["model"])
    if key in grades:
        raise InputUnreadable(f"{where}: {key[1]!r} comes twice for prompt {key[0][:60]!r}")
    grades[key] = value


def _number(value: object, name: str, where: str) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputUnreadable(f"{where}: {name} {value!r} is no number")
    return number
