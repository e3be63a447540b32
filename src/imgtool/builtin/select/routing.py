"""Which choice did well on prompts like this one: nearest neighbours over past scores.

A choice m is worth q(m) − λ·cost(m), where q is the mean of past scores of m, each weighted by how
near its prompt is, drawn towards the mean of all that m ever scored.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from imgtool.builtin.select.alike import unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

WORD = re.compile(r"\w+")
# How much the overall mean of a choice counts, in scores of the very same prompt.
PRIOR = 0.5


@dataclass(frozen=True)
class Choice:
    """Something that can be chosen, with what it did.

    Attributes
    ----------
    name : what rows say that were drawn by it.
    cost : mean cost of one row.
    scores : index of a past prompt to its mean score; larger is better.
    """

    name: str
    cost: float
    scores: Mapping[int, float]

    @cached_property
    def mean(self) -> float:
        """Mean of all its scores."""
        return math.fsum(self.scores.values()) / len(self.scores)

    def predicted(self, near: Mapping[int, float], neighbours: int) -> float:
        """The score to expect where past prompts are as `near` as that, from 0 to 1."""
        seen = sorted((-near[i], i) for i in self.scores if near.get(i, 0) > 0)[:neighbours]
        weighted = math.fsum(-weight * self.scores[i] for weight, i in seen)
        total = math.fsum(-weight for weight, _ in seen)
        return (PRIOR * self.mean + weighted) / (PRIOR + total)


def best_choice(choices: Sequence[Choice], predicted: Sequence[float], price: float) -> int:
    """Index of the largest `predicted − price · cost`; ties go to the cheaper, then the better."""

    def worth(index: int) -> tuple[float, float, float, int]:
        choice, quality = choices[index], predicted[index]
        return (quality - price * choice.cost, -choice.cost, quality, -index)

    return max(range(len(choices)), key=worth)


class Words:
    """Past prompts by their words and pairs of words, rare ones counting more (tf-idf)."""

    def __init__(self, prompts: Sequence[str]) -> None:
        counts = [_terms(prompt) for prompt in prompts]
        seen = Counter(term for terms in counts for term in terms)
        self.rarity = {term: math.log(1 + len(prompts) / times) for term, times in seen.items()}
        self.places: dict[str, list[tuple[int, float]]] = {}
        for index, terms in enumerate(counts):
            for term, weight in self._weights(terms).items():
                self.places.setdefault(term, []).append((index, weight))

    def near(self, prompt: str) -> dict[int, float]:
        """Past prompts that share words with `prompt`, and their cosines, from 0 to 1."""
        found: dict[int, float] = {}
        for term, weight in self._weights(_terms(prompt)).items():
            for index, other in self.places.get(term, ()):
                found[index] = found.get(index, 0.0) + weight * other
        return found

    def _weights(self, terms: Mapping[str, int]) -> dict[str, float]:
        # A word that no past prompt has is the rarest.
        rarest = max(self.rarity.values(), default=1.0)
        raw = {term: n * self.rarity.get(term, rarest) for term, n in terms.items()}
        length = math.sqrt(math.fsum(weight**2 for weight in raw.values()))
        return {term: weight / length for term, weight in raw.items()}


class Vectors:
    """Past prompts by vectors [N, D]."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.unit = unit(vectors)

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return int(self.unit.shape[1])

    def near(self, vector: np.ndarray) -> dict[int, float]:
        """Past prompts on this side of a right angle to `vector` [D], and their cosines."""
        import numpy as np

        cosines = np.einsum("nd,d->n", self.unit, unit(vector[None])[0]).tolist()
        return {index: min(cosine, 1.0) for index, cosine in enumerate(cosines) if cosine > 0}


def _terms(prompt: str) -> Counter[str]:
    words = WORD.findall(prompt.casefold())
    return Counter(words) + Counter(f"{a} {b}" for a, b in itertools.pairwise(words))
