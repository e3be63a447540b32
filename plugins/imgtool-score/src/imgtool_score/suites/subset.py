"""Chooses prompts from results of several models, and tries them on models held out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imgtool.api import BadParams
from imgtool_score.suites.choosing import Chosen, agreement_of_sets, choose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool_score.suites.results import Results

SCHEMA = "imgtool.bench-subset/1"


def score_matrix(results: Sequence[Results]) -> tuple[np.ndarray, list[str]]:
    """[M, P] mean scores of models on prompts, and the ids of those prompts.

    Raises
    ------
    BadParams : results are of different suites or prompts.
    """
    means = [_means(item) for item in results]
    ids = list(means[0])
    for item, own in zip(results, means, strict=True):
        if item.suite["digest"] != results[0].suite["digest"] or set(own) != set(ids):
            raise BadParams(
                f"{item.name!r} has results on other prompts than {results[0].name!r}",
                "Run all on one suite, with the same --count",
            )
    return np.array([[own[name] for name in ids] for own in means]), ids


def _means(results: Results) -> Mapping[str, float]:
    scores: dict[str, list[float]] = {}
    for row in results.rows:
        scores.setdefault(row["item"], []).append(float(row["score"]))
    return {item: sum(values) / len(values) for item, values in scores.items()}


def choose_prompts(
    results: Sequence[Results], held_out: Sequence[Results], k: int, seed: int
) -> dict[str, Any]:
    """What `--json` prints: the prompts, and how well they rank models.

    `tau` is Kendall's tau-b between the ranking by these prompts and by all; `held_out_tau` that of
    the models that had no part in the choice, null of fewer than two.

    Raises
    ------
    BadParams : fewer than four models, results that do not go together, or no such `k`.
    """
    matrix, ids = score_matrix([*results, *held_out])
    try:
        chosen = choose(matrix[: len(results)], k, seed)
    except ValueError as err:
        raise BadParams(str(err), "Give results of at least four models, and a smaller -k") from err
    return {
        "schema": SCHEMA,
        "suite": results[0].suite["name"],
        "items": [ids[at] for at in chosen.prompts],
        "tau": chosen.tau,
        "first_tau": chosen.first_tau,
        "error": chosen.error,
        "held_out_tau": _tau_of(matrix[len(results) :], chosen),
        "models": [item.name for item in results],
        "held_out": [item.name for item in held_out],
    }


def _tau_of(matrix: np.ndarray, chosen: Chosen) -> float | None:
    if len(matrix) < 2:
        return None
    taus, _ = agreement_of_sets(matrix, np.array([chosen.prompts]))
    return float(taus[0])
