"""Pictures to statistics: read, resized, through the extractor, added up, a few at a time."""

from __future__ import annotations

import itertools
import logging
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from imgtool.api import InputEmpty, InputUnreadable
from imgtool_score.record import fingerprint
from imgtool_score.sets.resize import RESIZE, Patches, patches, squared
from imgtool_score.sets.saved import Extraction, FeatureSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from imgtool_score.sets.collecting import Collector
    from imgtool_score.sets.extractors import Extractor
    from imgtool_score.sets.pictures import Picture

T = TypeVar("T")
R = TypeVar("R")
# Squares of one picture with their names, or why there are none.
Squares: TypeAlias = "list[tuple[str, np.ndarray]] | InputUnreadable"

log = logging.getLogger("imgtool.score")
READERS = min(8, os.cpu_count() or 1)


@dataclass
class BadPictures:
    """What becomes of pictures that cannot be read: the first stops, or all are counted."""

    skip: bool = False
    skipped: int = 0

    def meet(self, err: InputUnreadable) -> None:
        """Count one, and say so. Raises `err` unless it is to be skipped."""
        if not self.skip:
            raise err
        self.skipped += 1
        log.warning("skipped: %s", err.message)


@dataclass(frozen=True)
class Measuring:
    """How the sets of one measure are read.

    Attributes
    ----------
    name, model : of the extractor, as on the command line.
    batch : squares to compute at once.
    """

    extractor: Extractor
    name: str
    model: str
    patches: Patches = field(default_factory=Patches)
    batch: int = 32

    @property
    def extraction(self) -> Extraction:
        """How features are made."""
        edge, count, crop = self.extractor.edge, self.patches.count, self._crop
        mark = fingerprint("set/1", self.extractor.fingerprint, edge, RESIZE, count, crop)
        return Extraction(self.name, self.model, mark, edge, RESIZE, count, crop)

    @property
    def _crop(self) -> int:
        return (self.patches.edge or self.extractor.edge) if self.patches.count else 0

    def collect(
        self, pictures: Iterable[Picture], collector: Collector, bad: BadPictures
    ) -> FeatureSet:
        """The statistics of a set; its pictures are read once.

        Raises
        ------
        InputEmpty : fewer than two pictures can be read.
        InputUnreadable : a picture cannot be read, or its features are no numbers.
        """
        for names, features in self.features(pictures, bad):
            collector.add(names, features)
        return summed(collector, self.extraction, bad.skipped)

    def features(
        self, pictures: Iterable[Picture], bad: BadPictures
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """Names and [N, width] features, in the order of the pictures.

        Raises
        ------
        InputUnreadable : see `collect`.
        """
        squares = itertools.chain.from_iterable(self._squares(pictures, bad))
        while part := list(itertools.islice(squares, self.batch)):
            names = [name for name, _ in part]
            found = self.extractor(np.stack([square for _, square in part]))
            usable = np.isfinite(found).all(1)
            if not usable.all():
                odd = names[int(usable.argmin())]
                raise InputUnreadable(
                    f"the features of {odd!r} are no numbers", "Try another model"
                )
            yield names, found

    def _squares(
        self, pictures: Iterable[Picture], bad: BadPictures
    ) -> Iterator[list[tuple[str, np.ndarray]]]:
        for squares in ahead(self._read, pictures, READERS):
            if isinstance(squares, InputUnreadable):
                bad.meet(squares)
            else:
                yield squares

    def _read(self, picture: Picture) -> Squares:
        edge = self.extractor.edge
        try:
            image = picture.read()
            if not self._crop:
                return [(picture.name, squared(image, edge))]
            parts = patches(image, picture.name, self._crop, self.patches.count)
        except InputUnreadable as err:
            return err
        except ValueError as err:
            return InputUnreadable(f"no patch fits {picture.name!r}: {err}", "Lower --crop")
        return [(f"{picture.name}#{at}", squared(part, edge)) for at, part in enumerate(parts)]


def ahead(work: Callable[[T], R], items: Iterable[T], readers: int) -> Iterator[R]:
    """`work` of all items, in order, by `readers` threads that are at most twice as far ahead."""
    with ThreadPoolExecutor(readers) as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def summed(collector: Collector, extraction: Extraction, skipped: int) -> FeatureSet:
    """What a collector has seen.

    Raises
    ------
    InputEmpty : fewer than two features.
    """
    moments, sample = collector.finish(), collector.sample
    if moments.count < 2:
        raise InputEmpty(
            f"a set needs two pictures, and of this one {moments.count} can be read",
            "Give a folder or store with more",
        )
    return FeatureSet(
        extraction, moments.count, skipped, moments.mean, moments.covariance,
        sample.features, sample.priorities,
    )  # fmt: skip
