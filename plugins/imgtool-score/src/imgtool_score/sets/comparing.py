"""One measure of two sets, from what the user named to numbers; loads only what is needed."""

from __future__ import annotations

import itertools
import math
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from imgtool.api import BadParams, ModelUnusable
from imgtool_score.sets.collecting import KEPT, Collector
from imgtool_score.sets.frechet import (
    Extrapolated,
    Gaussian,
    extrapolate,
    frechet_distance,
)
from imgtool_score.sets.kernel import kid
from imgtool_score.sets.measuring import BadPictures, Measuring
from imgtool_score.sets.pictures import Place, pictures_in, place_of, require_pairs
from imgtool_score.sets.reconstructing import load_autoencoder, reconstructions
from imgtool_score.sets.request import Measure, Result, Side
from imgtool_score.sets.saved import load, require_comparable, save
from imgtool_score.sets.swapping import NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from imgtool.api import Runtime
    from imgtool_score.sets.moments import Moments
    from imgtool_score.sets.pictures import Picture
    from imgtool_score.sets.reconstructing import Autoencoder
    from imgtool_score.sets.request import Request
    from imgtool_score.sets.saved import FeatureSet
    from imgtool_score.sets.swapping import Swap

DEFAULT_EXTRACTOR = "clip"
# Nested subsets that a line is drawn through: of a tenth of 50,000 pictures and more, as in the
# paper, and of the upper half of small sets.
PARTS, LEAST = 16, 5_000


Watch: TypeAlias = "Callable[[str, Iterable[Picture]], Iterable[Picture]]"


def unwatched(word: str, pictures: Iterable[Picture]) -> Iterable[Picture]:
    """The pictures as they are."""
    return pictures


class Comparison:
    """Answers one request. Making one checks what can be checked before anything is loaded.

    Parameters
    ----------
    watch : given each set's name and its pictures, gives the pictures on as they are asked for.

    Raises
    ------
    InputMissing, InputUnreadable, BadParams : as the names say.
    """

    def __init__(self, request: Request, runtime: Runtime, watch: Watch = unwatched) -> None:
        self.request, self.runtime, self.watch = request, runtime, watch
        words = [word for word in (request.pictures, request.reference) if word]
        self.places = {word: place_of(word) for word in words}
        self.saved = {
            word: load(path)
            for word, (kind, path) in self.places.items()
            if kind is Place.STATISTICS
        }
        self._check_saved()
        if request.autoencoder and request.pictures in self.saved:
            raise BadParams(
                f"{request.pictures!r} holds no pictures to reconstruct", "Give the pictures"
            )
        if request.measure is Measure.RFID and request.reference and not self.saved:
            require_pairs(*(self.places[word] for word in words))

    def result(self) -> Result:
        """Measure, and save where that is asked.

        Raises
        ------
        ImgtoolError : as the parts that are asked say.
        """
        request = self.request
        if request.swaps:
            self._check_swaps()
        found, parts = self._set(request.pictures, PARTS if request.infinite else 1)
        one = Side(request.pictures, self.places[request.pictures][0], found)
        if request.save is not None:
            save(request.save, found)
        if request.swaps:
            return self._over_swaps(one)
        two = self._reference()
        if two is None:
            return Result(request.measure, one)
        if request.measure is Measure.KID:
            of_kid = kid(
                found.sample, two.found.sample, request.subsets, request.subset_size, request.seed
            )
            return Result(request.measure, one, two, of_kid.value, of_kid)
        reference = gaussian(two.found)
        value = frechet_distance(gaussian(found), reference)
        line = line_of(parts, found.count, reference) if request.infinite else None
        return Result(request.measure, one, two, value, None, line)

    @cached_property
    def measuring(self) -> Measuring:
        """The extractor, loaded; what statistics files were made by, unless another is named."""
        from imgtool_score.sets.extractors import known_extractor

        request = self.request
        like = next((found.extraction for found in self.saved.values()), None)
        named = request.extractor or (like.extractor if like else DEFAULT_EXTRACTOR)
        model = request.model or (like.model if like and not request.extractor else "")
        extractor = known_extractor(self.runtime, named, model)
        measuring = Measuring(extractor, named, model, request.patches, request.batch)
        for found in self.saved.values():
            require_comparable(measuring.extraction, found.extraction)
        return measuring

    @cached_property
    def autoencoder(self) -> Autoencoder:
        """What makes the reference out of the pictures, loaded."""
        return load_autoencoder(self.runtime, self.request.autoencoder)

    def _check_swaps(self) -> None:
        codes, named = self.autoencoder.codes, repr(self.request.autoencoder)
        if not codes:
            raise ModelUnusable(
                f"{named} has no codes to swap", "Name a VQModel, or measure with bench rfid"
            )
        most = max(swap.delta for swap in self.request.swaps)
        if most > codes:
            raise BadParams(
                f"--delta {most} is more than the {codes} codes of {named}", "Give a smaller one"
            )

    def _over_swaps(self, one: Side) -> Result:
        grid = []
        for swap in self.request.swaps:
            two = self._reconstructed(swap)
            grid.append((swap, frechet_distance(gaussian(one.found), gaussian(two.found))))
        mean = math.fsum(value for _, value in grid) / len(grid)
        return Result(self.request.measure, one, two, mean, grid=tuple(grid))

    def _check_saved(self) -> None:
        for one, two in itertools.combinations(self.saved.values(), 2):
            require_comparable(one.extraction, two.extraction)
        wants_patches = self.request.patches.count > 0
        for word, found in self.saved.items():
            if bool(found.extraction.crops) != wants_patches:
                holds = "whole pictures" if wants_patches else "patches"
                raise BadParams(
                    f"{word!r} holds statistics of {holds}", "Only bench fid --crops is of patches"
                )
        found_first = self.saved.get(self.request.pictures)
        if self.request.infinite and found_first is not None and not found_first.has_all:
            raise BadParams(
                f"{self.request.pictures!r} holds {len(found_first.sample)} features of "
                f"{found_first.count}, too few to extrapolate from",
                "Give the pictures themselves",
            )

    def _reference(self) -> Side | None:
        request = self.request
        if request.autoencoder:
            return self._reconstructed()
        if not request.reference:
            return None
        place = self.places[request.reference][0]
        return Side(request.reference, place, self._set(request.reference)[0])

    def _reconstructed(self, swap: Swap = NONE) -> Side:
        request = self.request
        from_pictures = pictures_in(*self.places[request.pictures])
        again = reconstructions(from_pictures, self.autoencoder, swap, request.seed)
        found, _ = self._measured(request.autoencoder, again)
        return Side(request.autoencoder, "reconstructions", found)

    def _set(self, word: str, parts: int = 1) -> tuple[FeatureSet, Collector]:
        found = self.saved.get(word)
        if found is None:
            return self._measured(word, pictures_in(*self.places[word]), parts)
        collector = Collector(found.width, 0, parts)
        collector.add_all(found.priorities, found.sample)
        return found, collector

    def _measured(
        self, word: str, pictures: Iterable[Picture], parts: int = 1
    ) -> tuple[FeatureSet, Collector]:
        needs_sample = self.request.measure is Measure.KID or self.request.save is not None
        width = self.measuring.extractor.width
        collector = Collector(width, KEPT if needs_sample else 0, parts)
        bad = BadPictures(self.request.skip)
        return self.measuring.collect(self.watch(word, pictures), collector, bad), collector


def gaussian(found: FeatureSet | Moments) -> Gaussian:
    """The normal distribution that FID takes a set for."""
    return Gaussian(found.mean, found.covariance)


def line_of(collector: Collector, count: int, reference: Gaussian) -> Extrapolated:
    """FID of nested random subsets of `count` features, extended to infinitely many.

    Raises
    ------
    BadParams : there are too few features for two subsets.
    """
    points = [
        (part.count, frechet_distance(gaussian(part), reference))
        for part in collector.nested()
        if part.count >= max(2, min(LEAST, count // 2))
    ]
    try:
        return extrapolate(*zip(*points, strict=True))
    except (TypeError, ValueError):
        raise BadParams(
            f"{count} pictures are too few to extrapolate from", "Leave --infinite out"
        ) from None
