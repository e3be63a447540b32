"""Features of a set as they stream by: moments, a uniform sample, and nested random subsets.

Which features are sampled, and which subset they belong to, follows from a hash of the picture's
name: neither depends on the order of pictures or on how many are computed at once.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from imgtool_score.sets.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KEPT = 10_000
# Features are added so many at once: adding costs a pass over the scatter whatever their count.
BLOCK = 1024
# The upper half of a priority is enough to choose a part, and its product with their count fits.
HALF = np.uint64(32)


def priority(name: str) -> int:
    """A number below 2⁶⁴, uniform over names."""
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class Sample:
    """The features whose pictures have the least priorities: a uniform sample of `most`."""

    def __init__(self, width: int, most: int) -> None:
        self.most = most
        self.priorities = np.empty(0, np.uint64)
        self.features = np.empty((0, width), np.float32)

    def add(self, priorities: np.ndarray, features: np.ndarray) -> None:
        """Add [N] uint64 and [N, D] float32, and drop what is beyond `most`."""
        every = np.concatenate([self.priorities, priorities])
        kept = np.argsort(every, kind="stable")[: self.most]
        self.priorities = every[kept]
        self.features = np.concatenate([self.features, features])[kept]


class Collector:
    """What is known of a set, in memory that does not grow with it.

    Parameters
    ----------
    width : numbers of a feature.
    kept : features to sample.
    parts : random parts of equal chance, each with moments of its own.
    """

    def __init__(self, width: int, kept: int = KEPT, parts: int = 1) -> None:
        self.parts = [Moments.empty(width) for _ in range(parts)]
        self.sample = Sample(width, kept)
        self._priorities: list[int] = []
        self._features: list[np.ndarray] = []

    def add(self, names: Sequence[str], features: np.ndarray) -> None:
        """Add [N, D] float32 features of the pictures called `names`."""
        for name, feature in zip(names, features, strict=True):
            self._priorities.append(priority(name))
            self._features.append(feature)
            if len(self._features) == BLOCK:
                self._flush()

    def add_all(self, priorities: np.ndarray, features: np.ndarray) -> None:
        """Add [N, D] float32 features whose pictures have `priorities`, [N] uint64."""
        parts = ((priorities >> HALF) * np.uint64(len(self.parts))) >> HALF
        for number in np.unique(parts):
            self.parts[int(number)].update(features[parts == number])
        if self.sample.most:
            self.sample.add(priorities, features)

    def finish(self) -> Moments:
        """Moments of all that was added."""
        self._flush()
        *_, every = self.nested()
        return every

    def nested(self) -> Iterator[Moments]:
        """Moments of one part, of two, … of all. What was given before grows with the next."""
        self._flush()
        growing = Moments.empty(len(self.parts[0].mean))
        for part in self.parts:
            growing.merge(part)
            yield growing

    def _flush(self) -> None:
        if self._features:
            self.add_all(np.array(self._priorities, np.uint64), np.stack(self._features))
            self._priorities, self._features = [], []
