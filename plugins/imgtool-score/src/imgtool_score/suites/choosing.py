"""A small set of prompts that ranks models as all prompts do: FlashEval, Zhao et al. (2024).

arXiv 2403.16379: sample many sets of k prompts, keep those whose ranking of models agrees best with
the full one, count how often each prompt is in them, go on with the frequent prompts alone. Sizes
are ours: fewer sets than the paper's three million.

Symbols: M models, P prompts, S sets of k prompts.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

SETS = 20_000
TOP = 0.05
SHRINK = 0.7
LEAST_MODELS = 4
MARGIN = 1e-9
AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Chosen:
    """A set of prompts.

    Attributes
    ----------
    prompts : indices, ascending.
    tau : Kendall's tau-b between the set's ranking of the models and the full one.
    error : mean distance of the set's means from the full means.
    first_tau : the best of the first round, where sets are drawn from all prompts.
    """

    prompts: tuple[int, ...]
    tau: float
    error: float
    first_tau: float


def agreement_of_sets(scores: np.ndarray, sets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """tau-b [S] of each set's ranking of models with the full one, and mean errors [S].

    Parameters
    ----------
    scores : [M, P] float, higher better.
    sets : [S, k] int, prompts of each set. Means that differ by `MARGIN` or less are tied.
    """
    full = scores.mean(1)
    one, two = np.triu_indices(len(full), 1)
    wanted = _signs(full[one] - full[two])[:, None]
    taus, errors = [], []
    size = max(1, AT_ONCE // (len(one) + scores.shape[0] * sets.shape[1]))
    for start in range(0, len(sets), size):
        means = scores[:, sets[start : start + size]].mean(-1)
        signs = _signs(means[one] - means[two])
        scale = np.sqrt((wanted != 0).sum() * (signs != 0).sum(0).astype(float))
        agreed = (wanted * signs).sum(0)
        taus.append(np.divide(agreed, scale, out=np.zeros(len(agreed)), where=scale > 0))
        errors.append(np.abs(means - full[:, None]).mean(0))
    return np.concatenate(taus), np.concatenate(errors)


def _signs(differences: np.ndarray) -> np.ndarray:
    return np.where(np.abs(differences) <= MARGIN, 0.0, np.sign(differences))


def choose(scores: np.ndarray, k: int, seed: int = 0, sets: int = SETS) -> Chosen:
    """The best set of `k` prompts that the search sees; all sets where there are no more than that.

    The order of prompts changes nothing: they are searched in the order of their scores.

    Raises
    ------
    ValueError : fewer than four models, or k is not from 1 to P.
    """
    models, prompts = scores.shape
    if models < LEAST_MODELS:
        raise ValueError(f"{models} models rank too little; {LEAST_MODELS} are needed")
    if not 1 <= k <= prompts:
        raise ValueError(f"{k} of {prompts} prompts cannot be chosen")
    order = np.lexsort(scores[::-1])
    found = _search(scores[:, order], k, np.random.default_rng(seed), sets)
    members = tuple(sorted(int(order[at]) for at in found.prompts))
    return Chosen(members, found.tau, found.error, found.first_tau)


def _search(scores: np.ndarray, k: int, rng: np.random.Generator, most: int) -> Chosen:
    pool = np.arange(scores.shape[1])
    best: Chosen | None = None
    while True:
        sets = _sets(pool, k, rng, most)
        taus, errors = agreement_of_sets(scores, sets)
        ranked = np.lexsort((errors, -taus))
        top = ranked[0]
        here = (float(taus[top]), -float(errors[top]))
        if best is None or here > (best.tau, -best.error):
            first = here[0] if best is None else best.first_tau
            best = Chosen(tuple(map(int, sets[top])), here[0], -here[1], first)
        if len(pool) == k or len(sets) < most:
            return best
        kept = sets[ranked[: max(1, int(TOP * len(sets)))]]
        often = np.bincount(kept.reshape(-1), minlength=scores.shape[1])[pool]
        size = max(k, int(SHRINK * len(pool)))
        pool = np.sort(pool[np.argsort(-often, kind="stable")[:size]])


def _sets(pool: np.ndarray, k: int, rng: np.random.Generator, most: int) -> np.ndarray:
    """[S, k] sets of prompts of the pool: all that there are, or `most` drawn ones."""
    if math.comb(len(pool), k) < most:
        return np.array(list(itertools.combinations(pool, k)))
    size = max(1, AT_ONCE // len(pool))
    drawn = []
    for start in range(0, most, size):
        noise = rng.random((min(size, most - start), len(pool)))
        drawn.append(np.argpartition(noise, k - 1, axis=1)[:, :k])
    found: np.ndarray = pool[np.concatenate(drawn)]
    return found
