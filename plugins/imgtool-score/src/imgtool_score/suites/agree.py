"""How well metrics agree with human rankings of models, as LPG-Bench measures it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imgtool.api import BadParams
from imgtool_score.suites import agreement
from imgtool_score.suites.bootstrap import DRAWS, Interval, of_prompts, percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imgtool_score.suites.grades import Grades

SCHEMA = "imgtool.bench-agree/1"
MEASURES = ("accuracy", "srcc", "krcc", "ndcg")


@dataclass(frozen=True)
class Settings:
    """How agreement is measured.

    Attributes
    ----------
    ties : what pairs count that the metric ties, see `pair_counts`.
    level : `prompt`: each prompt's correlation, averaged; `model`: of mean scores of models.
    k : items that count for nDCG; 0: all.
    exponential : nDCG's gain is 2^rel - 1.
    """

    ties: agreement.MetricTies = "half"
    level: str = "prompt"
    k: int = 0
    exponential: bool = False


@dataclass(frozen=True)
class Pairs:
    """Grades and scores of the same pictures, by prompt.

    Attributes
    ----------
    models : names of the models, columns of both.
    human, metric : [P, M] float64, higher better; NaN in both where there is none.
    skipped : prompts with fewer than two pictures that have both.
    """

    models: tuple[str, ...]
    human: np.ndarray
    metric: np.ndarray
    skipped: int


def paired(human: Grades, metric: Mapping[tuple[str, str], float], better: str) -> Pairs:
    """The pictures that have a grade and a score.

    Parameters
    ----------
    metric : (prompt, model) to score.
    better : `higher` or `lower`.

    Raises
    ------
    BadParams : no prompt has two of them.
    """
    sign = -1.0 if better == "lower" else 1.0
    shared = [key for key in human if key in metric]
    models = tuple(dict.fromkeys(model for _, model in shared))
    drawn_by: dict[str, list[str]] = {}
    for prompt, model in shared:
        drawn_by.setdefault(prompt, []).append(model)
    usable = {prompt: named for prompt, named in drawn_by.items() if len(named) > 1}
    if not usable:
        raise BadParams(
            "no prompt has two pictures with a grade and a score",
            "Both files name prompts and models alike: fields 'prompt' or 'item', and 'model'",
        )
    h = np.full((len(usable), len(models)), np.nan)
    m = h.copy()
    for row, (prompt, named) in enumerate(usable.items()):
        for model in named:
            column = models.index(model)
            h[row, column] = human[prompt, model]
            m[row, column] = sign * metric[prompt, model]
    prompts = len({prompt for prompt, _ in human})
    return Pairs(models, h, m, prompts - len(usable))


def measures_of(
    columns: Mapping[str, np.ndarray], pairs: Pairs, settings: Settings
) -> dict[str, Callable[[Sequence[int]], float]]:
    """Each measure as a function of the prompts that it is taken over; columns by `by_prompt`."""

    def accuracy(chosen: Sequence[int]) -> float:
        right, tied, told = (columns[name][chosen].sum() for name in ("right", "tied", "told"))
        return agreement.pairwise_accuracy(right, tied, told, settings.ties)

    def mean(name: str) -> Callable[[Sequence[int]], float]:
        def of(chosen: Sequence[int]) -> float:
            values = columns[name][chosen]
            return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan

        return of

    def of_models(correlation: Callable[[np.ndarray, np.ndarray], float]) -> Any:
        def of(chosen: Sequence[int]) -> float:
            h, m = (_column_means(x[list(chosen)]) for x in (pairs.human, pairs.metric))
            known = np.isfinite(h)
            return correlation(h[known], m[known])

        return of

    by_model = settings.level == "model"
    return {
        "accuracy": accuracy,
        "srcc": of_models(agreement.spearman) if by_model else mean("srcc"),
        "krcc": of_models(agreement.kendall) if by_model else mean("krcc"),
        "ndcg": mean("ndcg"),
    }


def _column_means(x: np.ndarray) -> np.ndarray:
    counts = np.isfinite(x).sum(0)
    means: np.ndarray = np.full(x.shape[1], np.nan)
    np.divide(np.nansum(x, 0), counts, out=means, where=counts > 0)
    return means


def by_prompt(pairs: Pairs, settings: Settings) -> dict[str, np.ndarray]:
    """What each prompt has to say, [P] each: counts of pairs, correlations, nDCG."""
    each = [_of_prompt(h, m, settings) for h, m in zip(pairs.human, pairs.metric, strict=True)]
    return {name: np.array([row[name] for row in each]) for name in each[0]}


def _of_prompt(h: np.ndarray, m: np.ndarray, settings: Settings) -> dict[str, float]:
    known = np.isfinite(h)
    h, m = h[known], m[known]
    right, tied, told = agreement.pair_counts(h, m)
    # Ranks come negated, the best -1: the gain is how many of the items rank lower.
    gains = h if h.min() >= 0 else np.maximum(len(h) + h, 0.0)
    return {
        "right": right,
        "tied": tied,
        "told": told,
        "srcc": agreement.spearman(h, m),
        "krcc": agreement.kendall(h, m),
        "ndcg": agreement.ndcg(gains, m, settings.k, settings.exponential),
    }


def agree(
    human: Grades,
    metrics: Mapping[str, Mapping[tuple[str, str], float]],
    lower: Sequence[str],
    settings: Settings,
) -> dict[str, Any]:
    """What `--json` prints: measures of each metric, and differences of each from the first.

    Parameters
    ----------
    lower : names of the metrics of which less is better.

    Raises
    ------
    BadParams : a metric shares no two pictures of a prompt with the grades, or they do not share
        the same pictures.
    """
    found = {
        name: paired(human, values, "lower" if name in lower else "higher")
        for name, values in metrics.items()
    }
    first = next(iter(found))
    rows: list[dict[str, Any]] = []
    drawn_first: dict[str, np.ndarray] = {}
    for name, pairs in found.items():
        if not np.array_equal(pairs.human, found[first].human, equal_nan=True):
            raise BadParams(
                f"{name!r} and {first!r} score different pictures", "Compare them apart"
            )
        row, drawn = _measured(name, pairs, settings)
        if name == first:
            drawn_first = drawn
        else:
            row["from_first"] = _differences(len(pairs.human), row, rows[0], drawn, drawn_first)
        rows.append(row)
    pairs = found[first]
    return {
        "schema": SCHEMA,
        "prompts": len(pairs.human),
        "skipped": pairs.skipped,
        "models": list(pairs.models),
        "settings": dict(vars(settings)),
        "metrics": rows,
    }


def _measured(
    name: str, pairs: Pairs, settings: Settings
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    columns = by_prompt(pairs, settings)
    told, tied = int(columns["told"].sum()), int(columns["tied"].sum())
    row: dict[str, Any] = {"metric": name, "pairs": told, "tied": tied / told if told else 0.0}
    drawn = {}
    for measure, of in measures_of(columns, pairs, settings).items():
        drawn[measure] = of_prompts(of, len(pairs.human), DRAWS)
        row[measure] = _interval(of(range(len(pairs.human))), drawn[measure], len(pairs.human))
    return row, drawn


def _differences(
    prompts: int,
    row: Mapping[str, Any],
    first: Mapping[str, Any],
    drawn: Mapping[str, np.ndarray],
    drawn_first: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    found = {}
    for measure in MEASURES:
        values = row[measure]["value"], first[measure]["value"]
        change = math.nan if None in values else values[0] - values[1]
        found[measure] = _interval(change, drawn[measure] - drawn_first[measure], prompts)
    return found


def _interval(value: float, drawn: np.ndarray, prompts: int) -> dict[str, float | None]:
    known = drawn[np.isfinite(drawn)]
    if not len(known) or not math.isfinite(value):
        return Interval(value, math.nan, math.nan).as_json()
    return percentile(value, known, prompts).as_json()
