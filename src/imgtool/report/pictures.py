"""Small copies of pictures as `data:` URIs, each kept once."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from imgtool.report.model import Picture

if TYPE_CHECKING:
    import numpy as np

QUALITY = 82
# Small pictures cost little, and are looked at enlarged: loss would show.
SMALL, SMALL_QUALITY = 128, 94
# Effort of the WebP encoder: half the time of its default for copies of the same size.
METHOD = 2
# Longest edges to choose from, so that a page stays near what a browser opens at once. A pixel of
# a photograph takes some 0.2 bytes of the page at this quality.
EDGES = (640, 512, 384, 256, 192, 128)
PAGE_BYTES, PIXEL_BYTES = 32e6, 0.2


def edge_for(count: int) -> int:
    """Longest edge, pixels, with which `count` pictures fit a page of some 32 MB."""
    fitting = (edge for edge in EDGES if count * edge**2 * PIXEL_BYTES <= PAGE_BYTES)
    return next(fitting, EDGES[-1])


class Album:
    """Pictures of a report in the order in which they came; equal copies are one.

    Parameters
    ----------
    edge : longest edge of a copy, pixels; 0: as large as the picture.
    """

    def __init__(self, edge: int) -> None:
        self.edge = edge
        self.pictures: list[Picture] = []
        self._places: dict[str, int] = {}

    def add(self, image: np.ndarray) -> int:
        """Place of the copy of a picture.

        Parameters
        ----------
        image : [H, W, 3] uint8, sRGB; or [H, W] of numbers, shown from black to white.
        """
        picture = self._copy(image)
        if picture.uri not in self._places:
            self._places[picture.uri] = len(self.pictures)
            self.pictures.append(picture)
        return self._places[picture.uri]

    def _copy(self, image: np.ndarray) -> Picture:
        from PIL import Image, features

        shown = Image.fromarray(image if image.ndim == 3 else as_grey(image))
        full = shown.size
        if self.edge and max(full) > self.edge:
            shown.thumbnail((self.edge, self.edge), Image.Resampling.LANCZOS)
        kind = "webp" if features.check("webp") else "jpeg"
        quality = SMALL_QUALITY if max(full) <= SMALL else QUALITY
        out = io.BytesIO()
        shown.save(out, kind, quality=quality, method=METHOD)
        uri = f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
        return Picture(uri, shown.width, shown.height, full)


def as_grey(values: np.ndarray) -> np.ndarray:
    """[H, W] numbers as [H, W] uint8, the least black and the greatest white; NaN is black."""
    import numpy as np

    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    filled = np.nan_to_num(numbers, nan=low, posinf=high, neginf=low)
    return np.asarray(np.round((filled - low) / ((high - low) or 1.0) * 255), np.uint8)
