"""The declaration of `sr.lanczos`: resampling, the baseline that a net must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool_sr.enlarging import Enlarging
from imgtool_sr.options import MOST_MEGAPIXELS, MaxMegapixels, Scale, Size

if TYPE_CHECKING:
    import numpy as np

    from imgtool.api import Row


@dataclass(frozen=True)
class LanczosParams:
    """Parameters of `sr.lanczos`."""

    scale: Scale = None
    size: Size = ""
    max_megapixels: MaxMegapixels = MOST_MEGAPIXELS


class Lanczos(Enlarging[LanczosParams]):
    """A window of three lobes over code values; anti-aliased where the picture shrinks."""

    id = "sr.lanczos"
    summary = "Enlarge by Lanczos resampling: no model, no invented detail."
    native = 2

    def enlarge(
        self, row: Row, source: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, dict[str, object]]:
        """The picture at `size`."""
        from imgtool_sr.finishing import resized

        return resized(source, size), {"model": "lanczos"}
