"""Results of one model on one suite, as a file: what `bench compare` and `bench subset` read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from imgtool.api import InputUnreadable, write_file
from imgtool_score.suites.files import lines_of, parsed
from imgtool_score.suites.model import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = "imgtool.bench/1"
NEEDED = {"suite": dict, "subject": dict, "judge": dict, "figures": list, "rows": list}
ROW = {"item": str, "category": str, "draw": int, "score": int | float, "outcomes": list}
OUTCOME = {"kind": str, "value": int | float}


@dataclass(frozen=True)
class Results:
    """What a run of a suite found.

    Attributes
    ----------
    suite : its `name`, `digest`, `prompts` and `rule`.
    subject : what drew the pictures: `name` and `stages`.
    judge : what judged them: `stage`, `params`, `fingerprint`, and its own `accuracy` or None.
    figures : see `Figure.as_json`.
    rows : one a picture: `item`, `category`, `draw` (which of the prompt's seeds), `seed`, `id`,
        `score`, `outcomes` (a `kind`, a `text` and a `value` each).
    failures : pictures that could not be made or judged, with `reason`.
    distance : the Fréchet distance in the judge's features, or None.
    """

    suite: Mapping[str, Any]
    subject: Mapping[str, Any]
    judge: Mapping[str, Any]
    seeds: int
    seed: int
    figures: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    failures: list[dict[str, Any]] = field(default_factory=list)
    distance: Mapping[str, Any] | None = None

    @property
    def rule(self) -> Rule:
        """How outcomes became scores."""
        given = self.suite["rule"]
        return Rule(**{**given, "kinds": tuple(given["kinds"])})

    @property
    def name(self) -> str:
        """What it is called beside others."""
        return str(self.subject["name"])

    def as_json(self) -> dict[str, Any]:
        """The document."""
        return {"schema": SCHEMA, **vars(self)}


def write_results(path: Path, results: Results) -> None:
    """Replace `path` by the results.

    Raises
    ------
    OutputUnwritable, StorageFull : as the names say.
    """
    text = json.dumps(results.as_json(), sort_keys=True, indent=1, ensure_ascii=False)
    write_file(path, f"{text}\n".encode())


def read_results(path: Path) -> Results:
    """The results in a file.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : as the names say.
    """
    text = "\n".join(line for _, line in lines_of(path))
    document = parsed(text, str(path))
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise InputUnreadable(
            f"{str(path)!r} holds no results of a benchmark", "imgtool bench run SUITE -o FILE"
        )
    _check(document, NEEDED, str(path))
    for at, row in enumerate(document["rows"]):
        _check(row, ROW, f"{path}: row {at}")
        for outcome in row["outcomes"]:
            _check(outcome, OUTCOME, f"{path}: row {at}")
    try:
        results = Results(**{item.name: document[item.name] for item in fields(Results)})
        _ = results.rule, results.name, results.suite["digest"], results.judge["fingerprint"]
    except (KeyError, TypeError) as err:
        raise InputUnreadable(f"{str(path)!r} is no whole results file: {err}") from None
    return results


def _check(value: object, needed: Mapping[str, Any], where: str) -> None:
    for name, kind in needed.items():
        if not isinstance(value, dict) or not isinstance(value.get(name), kind):
            raise InputUnreadable(f"{where} has no usable {name!r}")
