"""Which kind of candidate is promising: clusters of prompts and a belief over them.

Prompts are TF-IDF vectors v_c, clustered by k-means into K groups. With the mean score l_k of each
group the belief is updated, p_k ∝ p_k l_k. Groups of a new round are matched to those of the round
before by their centroids: labels of k-means mean nothing from one round to the next.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

WORD = re.compile(r"[^\W_]+")
# Scripts written without spaces: their words cannot be told, so pieces of two to four letters are.
UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
UNSPACED_SHARE = 0.3
SEED, RESTARTS, STEPS = 42, 8, 100
MOST_CLUSTERS = 8
"""More cannot be matched by trying every order."""


def tokens(text: str) -> list[str]:
    """Words in small letters; of scripts without spaces, pieces of two to four letters."""
    letters = [letter for letter in text.casefold() if not letter.isspace()]
    if len(UNSPACED.findall(text)) > UNSPACED_SHARE * len(letters):
        whole = "".join(letters)
        return [whole[at : at + n] for n in (2, 3, 4) for at in range(len(whole) - n + 1)]
    return WORD.findall(text.casefold())


def tfidf(texts: Sequence[str]) -> np.ndarray:
    """[N, V] float64: counts of tokens times log((1 + N) / (1 + df)) + 1, rows of length 1."""
    counts = [Counter(tokens(text)) for text in texts]
    places = {word: at for at, word in enumerate(sorted(set().union(*counts)))}
    vectors = np.zeros((len(texts), max(len(places), 1)))
    for row, count in enumerate(counts):
        for word, often in count.items():
            vectors[row, places[word]] = often
    df = (vectors > 0).sum(0)
    vectors *= np.log((1 + len(texts)) / (1 + df)) + 1
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def kmeans(vectors: np.ndarray, k: int) -> np.ndarray:
    """[N] labels below `k`, Lloyd's algorithm from k-means++ starts; the same every time.

    Fewer where fewer vectors are different; one group where there are fewer than `k` vectors.
    """
    distinct = len(np.unique(vectors.round(12), axis=0))
    k = min(k, distinct) if len(vectors) >= k else 1
    if k <= 1:
        return np.zeros(len(vectors), int)
    rng = np.random.default_rng(SEED)
    runs = [_lloyd(vectors, _starts(vectors, k, rng)) for _ in range(RESTARTS)]
    labels, _ = min(runs, key=lambda run: run[1])
    order = {label: at for at, label in enumerate(dict.fromkeys(labels.tolist()))}
    return np.array([order[label] for label in labels.tolist()])


def _starts(vectors: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Arthur & Vassilvitskii (2007): far ones are likelier."""
    chosen = [int(rng.integers(len(vectors)))]
    while len(chosen) < k:
        far = _distances(vectors, vectors[chosen]).min(1)
        chosen.append(int(rng.choice(len(vectors), p=far / far.sum())))
    return vectors[chosen]


def _lloyd(vectors: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, float]:
    labels = np.full(len(vectors), -1)
    for _ in range(STEPS):
        distances = _distances(vectors, centres)
        new = distances.argmin(1)
        if (new == labels).all():
            break
        labels = new
        centres = np.stack(
            [vectors[labels == at].mean(0) if (labels == at).any() else centre
             for at, centre in enumerate(centres)]
        )  # fmt: skip
    return labels, float(distances.min(1).sum())


def _distances(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.asarray(((vectors[:, None] - centres[None]) ** 2).sum(-1))


def likelihood(
    scores: Sequence[float], labels: Sequence[int], count: int, tau: float = 0.0
) -> list[float]:
    """Mean score of each group, 0 where it is empty; exp(mean / tau) with a `tau`."""
    groups: list[list[float]] = [[] for _ in range(count)]
    for score, label in zip(scores, labels, strict=True):
        groups[label].append(score)
    means = [sum(group) / len(group) if group else 0.0 for group in groups]
    if not tau:
        return means
    highest = max(means)
    return [
        math.exp((mean - highest) / tau) if group else 0.0
        for mean, group in zip(means, groups, strict=True)
    ]


def posterior(prior: Sequence[float], likely: Sequence[float]) -> list[float]:
    """p_k l_k / Σ p_i l_i; uniform where that is 0."""
    joint = [p * x for p, x in zip(prior, likely, strict=True)]
    total = sum(joint)
    return [value / total for value in joint] if total > 0 else [1 / len(joint)] * len(joint)


@dataclass(frozen=True)
class Update:
    """A round: the group of each candidate, and the belief in each group.

    Attributes
    ----------
    best : the group that is believed in most; of equals the first.
    """

    labels: list[int]
    posterior: list[float]

    @property
    def best(self) -> int:
        """The group that is believed in most."""
        return self.posterior.index(max(self.posterior))


@dataclass
class Belief:
    """Belief over groups of prompts, round after round.

    Attributes
    ----------
    k : groups at most.
    tau : of `likelihood`.
    carry : whether a round begins with the belief of the one before.
    """

    k: int
    tau: float = 0.0
    carry: bool = True
    _groups: list[list[str]] = field(default_factory=list)
    _held: list[float] = field(default_factory=list)

    def update(self, texts: Sequence[str], scores: Sequence[float]) -> Update:
        """Cluster a round's prompts and learn from their scores."""
        before = [text for group in self._groups for text in group]
        vectors = tfidf([*before, *texts])
        new = vectors[len(before) :]
        labels = kmeans(new, self.k).tolist()
        count = max(labels) + 1
        prior = self._prior(vectors, new, labels, count)
        held = posterior(prior, likelihood(scores, labels, count, self.tau))
        self._groups = [
            [text for text, label in zip(texts, labels, strict=True) if label == at]
            for at in range(count)
        ]
        self._held = held
        return Update(labels, held)

    def _prior(
        self, vectors: np.ndarray, new: np.ndarray, labels: Sequence[int], count: int
    ) -> list[float]:
        uniform = 1 / count
        if not self.carry or not self._groups:
            return [uniform] * count
        ends = itertools.accumulate(map(len, self._groups))
        old = [
            vectors[end - len(group) : end].mean(0)
            for group, end in zip(self._groups, ends, strict=True)
        ]
        mine = [new[np.array(labels) == at].mean(0) for at in range(count)]
        pairs = matched(np.array([[_cosine(a, b) for b in old] for a in mine]))
        prior = [self._held[pairs[at]] if at in pairs else uniform for at in range(count)]
        total = sum(prior)
        return [value / total for value in prior] if total > 0 else [uniform] * count


def matched(alike: np.ndarray) -> dict[int, int]:
    """Row to column of [A, B], each at most once, so that the sum is the greatest."""
    rows, columns = alike.shape
    if rows > columns:
        return {row: column for column, row in matched(alike.T).items()}
    orders = itertools.permutations(range(columns), rows)
    best = max(orders, key=lambda order: sum(alike[at, c] for at, c in enumerate(order)))
    return dict(enumerate(best))


def _cosine(one: np.ndarray, two: np.ndarray) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(two))
    return float(one @ two) / lengths if lengths else 0.0
