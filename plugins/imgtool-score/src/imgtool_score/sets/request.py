"""What is asked of a measure of sets, and what it answers: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from imgtool_score.sets.kernel import SUBSET_SIZE, SUBSETS
from imgtool_score.sets.resize import Patches

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool_score.sets.frechet import Extrapolated
    from imgtool_score.sets.kernel import Kid
    from imgtool_score.sets.saved import FeatureSet
    from imgtool_score.sets.swapping import Swap


class Measure(StrEnum):
    """What is measured."""

    FID = "fid"
    KID = "kid"
    PFID = "pfid"
    RFID = "rfid"


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes
    ----------
    pictures, reference : folder, store or file of statistics; no reference: only save.
    extractor, model : empty: those of a file of statistics that is given, else the default.
    patches : what is cut out; a count of 0: whole pictures.
    autoencoder : makes the reference out of the pictures; a model reference.
    swaps : of its codes, whose distances are averaged; none: pFID is not asked for.
    infinite : whether to extrapolate FID.
    skip : whether to leave out pictures that cannot be read.
    save : where to write the statistics of `pictures`.
    batch : squares to compute at once.
    subsets, subset_size : of KID.
    seed : of subsets or swaps.
    """

    measure: Measure
    pictures: str
    reference: str = ""
    extractor: str = ""
    model: str = ""
    patches: Patches = field(default_factory=Patches)
    autoencoder: str = ""
    swaps: tuple[Swap, ...] = ()
    infinite: bool = False
    skip: bool = False
    save: Path | None = None
    batch: int = 32
    subsets: int = SUBSETS
    subset_size: int = SUBSET_SIZE
    seed: int = 0


@dataclass(frozen=True)
class Side:
    """One of the two sets.

    Attributes
    ----------
    given : what the user named.
    place : `folder`, `store`, `statistics` or `reconstructions`.
    """

    given: str
    place: str
    found: FeatureSet


@dataclass(frozen=True)
class Result:
    """A measure and all that it depends on.

    Attributes
    ----------
    value : None where a set was only saved.
    grid : the distance of each swap, of which `value` is the mean.
    """

    measure: Measure
    pictures: Side
    reference: Side | None = None
    value: float | None = None
    kid: Kid | None = None
    infinite: Extrapolated | None = None
    grid: tuple[tuple[Swap, float], ...] = ()
