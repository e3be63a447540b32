"""From what users write and pictures say to cameras in numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from imgtool.api import BadParams
from imgtool_defocus.aperture import Aperture
from imgtool_defocus.thinlens import Camera
from imgtool_defocus.units import SENSORS, Focus, focus_of, metres_of, rack_of, sensor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgtool_defocus.exif import Taken
    from imgtool_defocus.lens_stage import LensParams
    from imgtool_defocus.stage import ThinLensParams

T = TypeVar("T")
FOCAL_MM, F_NUMBER = 50.0, 2.8
GIVEN, TOLD, DEFAULT, STRENGTH = "given", "exif", "default", "strength"
ASPECT = (3, 2)
"""Of a picture that is not there yet."""


def camera_of(
    params: LensParams, taken: Taken, size: Sequence[int]
) -> tuple[Camera, dict[str, str]]:
    """The camera that parameters and a picture describe, focused at infinity, and which told what.

    Parameters
    ----------
    taken : what the picture says it was taken with. size : its width and height.

    Raises
    ------
    BadParams : one of them means nothing.
    """
    near_m, far_m = _read("near", metres_of, params.near), _read("far", metres_of, params.far)
    if not near_m < far_m:
        raise BadParams(f"--near {params.near} is not nearer than --far {params.far}")
    if params.strength is not None and (params.f_numbers or params.f_number is not None):
        raise BadParams("--strength and an f-number are two apertures", "Give one of them")
    given_mm = None
    if params.focal_length:
        given_mm = 1000.0 * _read("focal-length", _focal_m, params.focal_length)
    given_sensor = _read("sensor", sensor_of, params.sensor) if params.sensor else None
    focal_mm, focal_from = _first(given_mm, taken.focal_mm, FOCAL_MM)
    # A telephone's sensor behind a lens that somebody names would be no camera at all.
    told = taken.diagonal_mm if focal_from == TOLD else None
    sides = _sides(told, size) if told else None
    # A series is over the camera's apertures, whatever its own is.
    given_f = params.f_numbers[0] if params.f_numbers else params.f_number
    f_number, f_from = _first(given_f, taken.f_number, F_NUMBER)
    sensor_mm, sensor_from = _first(given_sensor, sides, SENSORS["full-frame"])
    camera = Camera(
        focal_mm=focal_mm,
        f_number=f_number,
        strength=params.strength,
        focus_m=math.inf,
        sensor_mm=sensor_mm,
        near_m=near_m,
        far_m=far_m,
        most_coc=None if params.max_coc is None else params.max_coc / 100.0,
        is_forced=params.force,
        highlight_boost=params.highlight_boost,
        aperture=Aperture(params.blades, params.blade_rotation, params.blade_curvature),
    )
    f_from = f_from if params.strength is None else STRENGTH
    return camera, {"focal_mm": focal_from, "f_number": f_from, "sensor_mm": sensor_from}


def focuses_of(params: ThinLensParams, focal_mm: float) -> list[Focus]:
    """Where parameters put the focus, for each picture of a rack.

    Raises
    ------
    BadParams : they mean nothing, are nearer than the focal length, or ask for two series.
    """
    focus = _read("focus-at", focus_of, params.focus_at)
    if params.focus_on and (focus != Focus() or params.rack):
        raise BadParams("--focus-on and --focus-at or --rack are two focuses", "Give one of them")
    if focus.metres is not None and focus.metres * 1000.0 <= focal_mm:
        raise BadParams(
            f"--focus-at {params.focus_at} is nearer than the focal length, {focal_mm:g} mm",
            "Give a greater distance, or a shorter --focal-length",
        )
    if not params.rack:
        return [focus]
    if params.f_numbers:
        raise BadParams("--f-numbers and --rack are two series", "Give one of them")
    distances = _read("rack", rack_of, params.rack)
    if min(distances) * 1000.0 <= focal_mm:
        raise BadParams(f"--rack {params.rack} begins nearer than the focal length")
    return [Focus(metres) for metres in distances]


def series_of(params: LensParams, camera: Camera, focuses_m: Sequence[float]) -> list[Camera]:
    """`camera` at each focus, metres, and at each aperture that parameters ask for."""
    apertures = params.f_numbers or (camera.f_number,)
    return [
        replace(camera, focus_m=focus_m, f_number=f_number)
        for focus_m in focuses_m
        for f_number in apertures
    ]


def _first(given: T | None, told: T | None, default: T) -> tuple[T, str]:
    """What was given, else what the picture tells, else the default; and which it was."""
    if given is not None:
        return given, GIVEN
    return (default, DEFAULT) if told is None else (told, TOLD)


def _sides(diagonal_mm: float, size: Sequence[int]) -> tuple[float, float]:
    """Long and short side of a sensor in the picture's proportions."""
    scale = diagonal_mm / math.hypot(*size)
    return max(size) * scale, min(size) * scale


def _focal_m(text: str) -> float:
    return metres_of(text, "mm")


def _read(flag: str, reader: Callable[[str], T], text: str) -> T:
    try:
        return reader(text)
    except ValueError as err:
        raise BadParams(f"--{flag}: {err}", "imgtool defocus --help shows what it takes") from None
