"""Two results side by side: differences with paired intervals, and who wins on how many prompts.

Equal seeds draw the same prompts for both: that is what pairs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imgtool.api import BadParams
from imgtool_score.suites.bootstrap import Interval, over_prompts, percentile, spread
from imgtool_score.suites.figures import clusters_by_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool_score.suites.results import Results

SCHEMA = "imgtool.bench-compare/1"
# Scores of one picture that differ by less are equal.
TIE = 1e-9


@dataclass(frozen=True)
class Change:
    """One number of two results.

    Attributes
    ----------
    a, b : the numbers themselves.
    change : b - a, with the interval of the same draws of prompts for both.
    """

    name: str
    a: float
    b: float
    change: Interval

    @property
    def is_clear(self) -> bool:
        """Whether there is an interval, and it leaves 0 out."""
        return self.change.low > 0 or self.change.high < 0

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        interval = self.change.as_json()
        change = interval.pop("value")
        return {**vars(self), **interval, "change": change, "clear": self.is_clear}


@dataclass(frozen=True)
class Difference(Change):
    """One figure of two results.

    Attributes
    ----------
    win, tie, loss : prompts on which b scores more, the same, less: by the mean over their seeds.
    """

    about: str
    win: int
    tie: int
    loss: int


def compare(a: Results, b: Results, partial: bool = False) -> list[Difference]:
    """Every figure of both, the suite's first.

    Parameters
    ----------
    partial : use the pictures that both have, although one has more.

    Raises
    ------
    BadParams : they are not of one suite, one judge, and the same pictures.
    """
    _require_alike(a, b)
    rows_a, rows_b = _paired(a.rows, b.rows, partial)
    rule = a.rule
    found_b = clusters_by_figure(rows_b, rule)
    differences = []
    for name, (about, one) in clusters_by_figure(rows_a, rule).items():
        two = found_b[name][1]
        change = (two.figure - one.figure) * rule.scale
        drawn = (over_prompts(two) - over_prompts(one)) * rule.scale
        wins = np.array([q.mean() - p.mean() for p, q in zip(one.values, two.values, strict=True)])
        differences.append(
            Difference(
                name,
                one.figure * rule.scale,
                two.figure * rule.scale,
                percentile(change, drawn, len(one.values)),
                about,
                int((wins > TIE).sum()),
                int((np.abs(wins) <= TIE).sum()),
                int((wins < -TIE).sum()),
            )
        )
    return differences


def compare_distances(a: Results, b: Results) -> Change | None:
    """The Fréchet distances to one truth, of which less is better; None: one result has none.

    Results of which one has more pictures are not compared: the distance shrinks with their number.
    """
    one, two = a.distance, b.distance
    if one is None or two is None or _keys(a.rows) != _keys(b.rows):
        return None
    if not (one.get("draws") and two.get("draws")):
        return None
    drawn = np.subtract(two["draws"], one["draws"])
    change = spread(two["value"] - one["value"], drawn)
    return Change("frechet", one["value"], two["value"], change)


def _require_alike(a: Results, b: Results) -> None:
    for what, one, two, hint in (
        ("suites", _suite(a), _suite(b), "Run both on one suite, with the same --count"),
        (
            "judges",
            _judge(a),
            _judge(b),
            "Run both with one judge; scores of others do not compare",
        ),
    ):
        if one != two:
            raise BadParams(f"the results are of different {what}: {one} and {two}", hint)


def _suite(results: Results) -> str:
    return f"{results.suite['name']} {results.suite['digest']}"


def _judge(results: Results) -> str:
    return f"{results.judge['stage']} {results.judge['fingerprint']}"


def _paired(
    a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]], partial: bool
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Rows of both by prompt and seed, in one order."""
    keyed = [dict(zip(_keys(rows), rows, strict=True)) for rows in (a, b)]
    shared = [key for key in keyed[0] if key in keyed[1]]
    if not shared or (not partial and len(shared) != max(map(len, keyed))):
        raise BadParams(
            f"of {len(keyed[0])} and {len(keyed[1])} pictures {len(shared)} are of the same prompt "
            "and seed",
            "Run both with the same --count and --seeds, or add --partial" if shared else "",
        )
    return [keyed[0][key] for key in shared], [keyed[1][key] for key in shared]


def _keys(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    return [(row["item"], row["draw"]) for row in rows]


def document(
    a: Results, b: Results, differences: Sequence[Difference], distance: Change | None
) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "schema": SCHEMA,
        "suite": a.suite["name"],
        "a": a.name,
        "b": b.name,
        "figures": [difference.as_json() for difference in differences],
        "distance": None if distance is None else distance.as_json(),
    }
