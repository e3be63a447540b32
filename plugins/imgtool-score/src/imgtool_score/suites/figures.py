"""From the outcomes of pictures to figures, each with its intervals."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imgtool_score.suites.bootstrap import Clusters, Interval, over_prompts, over_seeds, percentile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from imgtool_score.suites.model import Rule


@dataclass(frozen=True)
class Figure:
    """One number about a model.

    Attributes
    ----------
    about : `suite`, `category` (scores of its pictures) or `kind` (outcomes of its questions).
    value : with the interval over prompts, seeds nested in them.
    seeds : interval over seeds alone, the prompts as they are; None where there is one a prompt.
    """

    name: str
    about: str
    value: Interval
    seeds: Interval | None
    prompts: int
    pictures: int

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values; what cannot be had is null."""
        seeds = self.seeds
        return {
            "name": self.name,
            "about": self.about,
            **self.value.as_json(),
            "seeds_low": None if seeds is None else seeds.low,
            "seeds_high": None if seeds is None else seeds.high,
            "prompts": self.prompts,
            "pictures": self.pictures,
        }


def picture_score(outcomes: Sequence[Mapping[str, Any]], rule: Rule) -> float:
    """The score of one picture; an empty product is 1, as T2I-CompBench has it."""
    of_kinds = [outcome for outcome in outcomes if outcome["kind"] in rule.kinds]
    values = outcome_values(of_kinds or outcomes, rule)
    if rule.picture == "all":
        return float(all(value >= rule.pass_at for value in values))
    if rule.picture == "product":
        return math.prod(values)
    return sum(values) / len(values)


def outcome_values(outcomes: Iterable[Mapping[str, Any]], rule: Rule) -> list[float]:
    """Values as the rule counts them."""
    values = [float(outcome["value"]) for outcome in outcomes]
    return [float(value >= rule.pass_at) for value in values] if rule.binary else values


def clusters_by_figure(
    rows: Sequence[Mapping[str, Any]], rule: Rule
) -> dict[str, tuple[str, Clusters]]:
    """For each figure what it is about, and its values by prompt, in the order of prompts.

    Parameters
    ----------
    rows : those of a results file, each with `item`, `category`, `score` and `outcomes`.
    """
    found: dict[str, tuple[str, Clusters]] = {}

    def add(name: str, about: str, values: list[tuple[str, str, list[float]]], macro: bool) -> None:
        if name not in found and values:
            found[name] = (about, _clusters(values, macro))

    scores = [(r["item"], r["category"], [float(r["score"])]) for r in rows]
    add(rule.headline, "suite", scores, rule.overall == "categories")
    categories = dict.fromkeys(category for _, category, _ in scores)
    for name in categories if len(categories) > 1 else ():
        add(name, "category", [part for part in scores if part[1] == name], False)
    kinds = dict.fromkeys(outcome["kind"] for row in rows for outcome in row["outcomes"])
    for kind in kinds if len(kinds) > 1 else ():
        add(kind, "kind", _of_kind(rows, kind, rule), False)
    return found


def _of_kind(
    rows: Sequence[Mapping[str, Any]], kind: str, rule: Rule
) -> list[tuple[str, str, list[float]]]:
    asked = [
        (row, [outcome for outcome in row["outcomes"] if outcome["kind"] == kind]) for row in rows
    ]
    return [(r["item"], r["category"], outcome_values(own, rule)) for r, own in asked if own]


def _clusters(values: list[tuple[str, str, list[float]]], macro: bool) -> Clusters:
    by_prompt: dict[str, list[list[float]]] = {}
    category = {item: name for item, name, _ in values}
    for item, _, part in values:
        by_prompt.setdefault(item, []).append(part)
    groups = {name: at for at, name in enumerate(dict.fromkeys(category.values()))}
    return Clusters(
        tuple(map(_of_pictures, by_prompt.values())),
        np.array([groups[category[item]] for item in by_prompt]),
        macro,
    )


def _of_pictures(parts: Sequence[Sequence[float]]) -> np.ndarray:
    """[pictures, values] of one prompt; pictures of unlike counts of values stand as one."""
    alike = len(set(map(len, parts))) == 1
    return np.array(parts if alike else [list(itertools.chain.from_iterable(parts))])


def figures_of(rows: Sequence[Mapping[str, Any]], rule: Rule) -> list[Figure]:
    """Every figure of the rows, the suite's first."""
    return [
        _figure(name, about, clusters, rule.scale)
        for name, (about, clusters) in clusters_by_figure(rows, rule).items()
    ]


def _figure(name: str, about: str, clusters: Clusters, scale: float) -> Figure:
    value = clusters.figure * scale
    prompts = len(clusters.values)
    nested = min(len(part) for part in clusters.values) > 1
    return Figure(
        name,
        about,
        percentile(value, over_prompts(clusters) * scale, prompts),
        percentile(value, over_seeds(clusters) * scale) if nested else None,
        prompts,
        int(clusters.counts.sum()),
    )
