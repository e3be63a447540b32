"""The camera that a picture's EXIF tells of, and what a lens of ours writes there.

Tags are those of Exif 2.3; the ones of the exposure live in its sub-directory.
"""

from __future__ import annotations

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from struct import error
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Exif

    from imgtool_defocus.optics import Lens

EXPOSURE = 0x8769
F_NUMBER, APERTURE_VALUE, FOCAL_LENGTH, FOCAL_LENGTH_35 = 0x829D, 0x9202, 0x920A, 0xA405
SUBJECT_DISTANCE = 0x9206
DIAGONAL_35 = 43.27
"""Of a frame of 35 mm film, mm."""
INFINITELY = 0xFFFFFFFF
DAMAGE = (SyntaxError, ValueError, TypeError, AttributeError, OSError, error)
"""What Pillow raises when it reads or writes tags that are not what they should be."""


@dataclass(frozen=True)
class Taken:
    """What a picture says it was taken with; None where it does not say.

    Attributes
    ----------
    diagonal_mm : of the sensor.
    """

    focal_mm: float | None = None
    f_number: float | None = None
    diagonal_mm: float | None = None


def taken_with(data: bytes) -> Taken:
    """The camera of an EXIF block; numbers that cannot be are as if they were not there."""
    tags = _loaded(data).get_ifd(EXPOSURE)
    focal_mm = _positive(tags.get(FOCAL_LENGTH))
    f_number = _positive(tags.get(F_NUMBER))
    apex = _number(tags.get(APERTURE_VALUE))
    if f_number is None and apex is not None:
        f_number = _positive(2.0 ** (min(apex, 64.0) / 2.0))
    of_35 = _positive(tags.get(FOCAL_LENGTH_35))
    diagonal = DIAGONAL_35 * focal_mm / of_35 if focal_mm and of_35 else None
    return Taken(focal_mm, f_number, diagonal)


def with_lens(data: bytes, lens: Lens, diagonal_mm: float) -> bytes:
    """The EXIF block with a lens of ours and its sensor in it; everything else stays.

    Of a damaged block that cannot be written again nothing does.
    """
    from PIL.Image import Exif

    try:
        with _quietly():
            return _written(_loaded(data), lens, diagonal_mm)
    except DAMAGE:
        return _written(Exif(), lens, diagonal_mm)


def _written(exif: Exif, lens: Lens, diagonal_mm: float) -> bytes:
    from PIL.TiffImagePlugin import IFDRational

    tags = exif.get_ifd(EXPOSURE)
    tags.pop(APERTURE_VALUE, None)
    tags[F_NUMBER], tags[FOCAL_LENGTH] = lens.f_number, lens.focal_mm
    tags[FOCAL_LENGTH_35] = max(1, round(DIAGONAL_35 * lens.focal_mm / diagonal_mm))
    tags[SUBJECT_DISTANCE] = (
        IFDRational(INFINITELY, 1) if math.isinf(lens.focus_m) else round(lens.focus_m, 4)
    )
    return exif.tobytes()


def _loaded(data: bytes) -> Exif:
    from PIL.Image import Exif

    exif = Exif()
    try:
        with _quietly():
            exif.load(data)
            exif.get_ifd(EXPOSURE)  # read now, kept for later
    except DAMAGE:
        return Exif()
    return exif


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Pillow's warnings of damage, of which nothing more can be told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _positive(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _number(value: object) -> float | None:
    """A finite number; cameras write 0/0 for what they do not know."""
    try:
        number = float(value)  # type: ignore[arg-type]  # what a file says
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None
