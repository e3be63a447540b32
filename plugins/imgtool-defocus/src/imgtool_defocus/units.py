"""What photographers write: lengths with units, sensors by name, where the focus is."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

METRES: Final = {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "in": 0.0254, "ft": 0.3048}
MOST_RACK: Final = 4096
LENGTH = re.compile(r"(?P<number>\d+\.?\d*|\.\d+)\s*(?P<unit>mm|cm|m|in|ft)?")
PLACE = re.compile(r"(\d+\.?\d*|\.\d+)(%?)\s*,\s*(\d+\.?\d*|\.\d+)(%?)")
SENSORS: Final = {
    "full-frame": (36.0, 24.0),
    "aps-c": (23.5, 15.6),
    "aps-c-canon": (22.3, 14.9),
    "mft": (17.3, 13.0),
    "1-inch": (13.2, 8.8),
    "medium": (43.8, 32.9),
    "super-35": (24.9, 18.7),
}
"""Long and short side, mm."""


@dataclass(frozen=True)
class Focus:
    """Where the focus is: at a distance, on a place of the picture, or chosen by looking.

    Attributes
    ----------
    metres : the distance; None: look.
    x, y : the place and whether it is a share of width and height; None: choose it.
    """

    metres: float | None = None
    x: tuple[float, bool] | None = None
    y: tuple[float, bool] | None = None


def metres_of(text: str, unit: str = "m") -> float:
    """Metres that `1.2`, `1.2m`, `8ft` or `85mm` means; `unit` where none is written.

    Raises
    ------
    ValueError : it means none, or is not positive.
    """
    match = LENGTH.fullmatch(text)
    metres = float(match["number"]) * METRES[match["unit"] or unit] if match else 0.0
    if not 0 < metres < math.inf:
        raise ValueError(f"{text!r} is no length such as 85mm, 1.2m or 8ft")
    return metres


def focus_of(text: str) -> Focus:
    """The focus that `auto`, `1.2`, `8ft`, `inf`, `640,300` or `40%,55%` means.

    Raises
    ------
    ValueError : it means none.
    """
    if text == "auto":
        return Focus()
    if text == "inf":
        return Focus(math.inf)
    if "," not in text:
        return Focus(metres_of(text))
    match = PLACE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no place such as 640,300 or 40%,55%")
    x, x_unit, y, y_unit = match.groups()
    for number, unit in ((x, x_unit), (y, y_unit)):
        if unit and float(number) > 100:
            raise ValueError(f"{text!r} is outside the picture")
    return Focus(None, _coordinate(x, x_unit), _coordinate(y, y_unit))


def _coordinate(number: str, unit: str) -> tuple[float, bool]:
    return (float(number) / 100.0, True) if unit else (float(number), False)


def rack_of(text: str) -> list[float]:
    """The distances, metres, that `1m..10m:24` means: even steps of inverse depth, as blur has.

    Raises
    ------
    ValueError : it means none.
    """
    ends, colon, count = text.rpartition(":")
    first, dots, last = ends.partition("..")
    if not (colon and dots and count.isdigit() and MOST_RACK >= int(count) > 1):
        raise ValueError(f"{text!r} is no rack of 2 to {MOST_RACK} steps such as 1m..10m:24")
    near, far = 1.0 / metres_of(first), 1.0 / metres_of(last)
    steps = int(count) - 1
    return [1.0 / (near + (far - near) * step / steps) for step in range(steps + 1)]


def sensor_of(text: str) -> tuple[float, float]:
    """Long and short side, mm, of the sensor that a name, `36x24mm` or `crop=1.5` means.

    Raises
    ------
    ValueError : it means none.
    """
    if text in SENSORS:
        return SENSORS[text]
    if match := re.fullmatch(r"(\d+\.?\d*)x(\d+\.?\d*)(?:mm)?", text):
        sides = float(match[1]), float(match[2])
    elif (match := re.fullmatch(r"crop=(\d+\.?\d*)", text)) and float(match[1]) > 0:
        long, short = SENSORS["full-frame"]
        sides = long / float(match[1]), short / float(match[1])
    else:
        sides = 0.0, 0.0
    if min(sides) <= 0:
        known = ", ".join(SENSORS)
        raise ValueError(f"{text!r} is no sensor; known: {known}, 36x24mm, crop=1.5")
    return max(sides), min(sides)
