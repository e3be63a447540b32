"""What belongs to a picture file beside its colours: opacity, 16 bits, colour profile, EXIF.

It travels in fields of its own, so that stages which change the colours need not know of it.
Colours are laid on white; with the opacity at hand they are taken off it again.
"""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Any

from imgtool.pictures.read import laid_on_white, open_picture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from PIL.Image import Exif, Image

log = logging.getLogger("imgtool.pictures")

FIELDS = ("alpha", "deep", "icc", "exif")
EXIF_IFD, WIDTH_TAG, HEIGHT_TAG = 0x8769, 0xA002, 0xA003


def read_picture(path: Path) -> np.ndarray:
    """[H, W, 3] uint8, sRGB, upright; transparency is laid on white. Errors as `open_picture`."""
    return _colours(path, open_picture(path))["image"]  # type: ignore[no-any-return]


def read_photo(path: Path) -> dict[str, Any]:
    """`image`, and those of `FIELDS` that the file has. Errors as `open_picture`."""
    import numpy as np

    picture = open_picture(path)
    found = _colours(path, picture)
    profile = picture.info.get("icc_profile") or b""
    if profile[16:20] == b"RGB ":
        found["icc"] = np.frombuffer(profile, dtype=np.uint8)
    if exif := _exif(picture, path):
        found["exif"] = np.frombuffer(exif, dtype=np.uint8)
    return found


def _exif(picture: Image, path: Path) -> bytes:
    """The block as Pillow writes it; empty where there is none, or one that cannot be written."""
    try:
        exif = picture.getexif()
        return exif.tobytes() if exif else b""
    except (SyntaxError, ValueError, TypeError, AttributeError, OSError, struct.error):
        # Pillow reads tags of types that they cannot have, and raises any of these later.
        log.warning("%r: its EXIF is damaged and left out", str(path))
        return b""


def _colours(path: Path, picture: Image) -> dict[str, Any]:
    return _deep(path) or _plain(picture)


def _plain(picture: Image) -> dict[str, Any]:
    import numpy as np

    found: dict[str, Any] = {"image": np.asarray(laid_on_white(picture))}
    opacity = _opacity(picture)
    if opacity is not None:
        found["alpha"] = np.asarray(opacity, dtype=np.float32) / np.float32(255)
    return found


def _deep(path: Path) -> dict[str, Any]:
    """Colours of 16 bits, the same in 8, and opacity; nothing where the file has not so many."""
    from imgtool.pictures.deep import in_8_bits, on_white, read_deep

    deep = read_deep(path)
    if deep is None:
        return {}
    colours, opacity = on_white(deep)
    found = {"image": in_8_bits(colours), "deep": colours}
    return found if opacity is None else {**found, "alpha": opacity}


def _opacity(picture: Image) -> Image | None:
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        opacity = picture.convert("RGBA").getchannel("A")
        return None if opacity.getextrema() == (255, 255) else opacity
    return None


def with_alpha(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """[H, W, 4] uint8: colours taken off the white that they were laid on.

    Parameters
    ----------
    image : [H, W, 3] uint8. alpha : [H, W] float32, 0..1.
    """
    import numpy as np

    opacity = (alpha.clip(0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    made = np.dstack([image, opacity])
    thin = (opacity > 0) & (opacity < 255)
    share = opacity[thin, None].astype(np.float32) / 255
    bare = (image[thin] - 255 * (1 - share)) / share
    made[thin, :3] = (bare.clip(0, 255) + 0.5).astype(np.uint8)
    return made


def carried_exif(exif: np.ndarray | None, size: tuple[int, int]) -> Exif:
    """The EXIF of the file that a picture was made from, for one of width and height `size`."""
    from PIL.Image import Exif

    found = Exif()
    if exif is not None:
        found.load(exif.tobytes())
        inner = found.get_ifd(EXIF_IFD)
        inner[WIDTH_TAG], inner[HEIGHT_TAG] = size
    return found


def carried(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a row carries of `FIELDS`, by name."""
    return {name: values[name] for name in FIELDS if values.get(name) is not None}
