"""Pictures of 16 bits a channel in PNG files, which Pillow reads and writes with 8.

They travel in the field `deep`, beside `image`, which is the same rounded. A stage that changes
`image` alone leaves `deep` as it was: it counts only for as long as it rounds to `image`.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

WHITE: Final = 65535
BAND: Final = 256
"""Rows that are compressed at once."""
SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES: Final = {3: 2, 4: 6}
DEPTH_AT: Final = 24
"""Where a PNG file says how many bits a channel has."""
UP: Final = 2
"""The filter of rows: their difference to the row above."""


def in_8_bits(deep: np.ndarray) -> np.ndarray:
    """uint8 of uint16, rounded to the nearest; no more than a band of rows is held beside both."""
    made = np.empty(deep.shape, dtype=np.uint8)
    for top in range(0, len(deep), BAND):
        made[top : top + BAND] = (deep[top : top + BAND].astype(np.uint32) + 128) // 257
    return made


def deep_of(values: Mapping[str, Any]) -> np.ndarray | None:
    """The `deep` of a row, [H, W, 3] uint16, where it still says what `image` says."""
    deep, image = values.get("deep"), values["image"]
    if deep is None or deep.shape != image.shape:
        return None
    return deep if (in_8_bits(deep) == image).all() else None


def read_deep(path: Path) -> np.ndarray | None:
    """[H, W] or [H, W, C] uint16 of a readable PNG file, upright; C is 3, or 4 with opacity.

    None for files of 8 bits and of other formats, for greys with opacity, and for one colour that
    stands for full transparency.
    """
    from PIL import Image, ImageOps

    with path.open("rb") as file:
        head = file.read(DEPTH_AT + 1)
    if not head.startswith(SIGNATURE) or head[DEPTH_AT:] != b"\x10":
        return None
    with Image.open(path) as picture:
        raw = str(picture.tile[0].args)
        if "transparency" in picture.info or raw not in ("I;16B", "RGB;16B", "RGBA;16B"):
            return None
        high = np.asarray(ImageOps.exif_transpose(picture), dtype=np.uint16)
        if high.ndim == 2:
            return high
    with Image.open(path) as picture:
        # Pillow keeps the first byte of each number, and the second where it takes that for the
        # first of a number in the other order.
        (tile,) = picture.tile
        picture.tile = [tile._replace(args=raw.replace("16B", "16L"))]
        low = np.asarray(ImageOps.exif_transpose(picture))
    both: np.ndarray = high << 8 | low
    return both


def on_white(deep: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """[H, W, 3] uint16, laid on white, and its opacity [H, W] float32 where that is not full."""
    if deep.ndim == 2:
        return np.repeat(deep[..., None], 3, axis=2), None
    colours, opacity = deep[..., :3], deep[..., 3:]
    if not opacity.size or opacity.min() == WHITE:
        return colours, None
    share = opacity.astype(np.float32) / WHITE
    laid = colours * share + WHITE * (1 - share)
    return (laid + 0.5).astype(np.uint16), share[..., 0]


def off_white(deep: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """[H, W, 4] uint16: colours taken off the white that they were laid on."""
    share = alpha.clip(0.0, 1.0)[..., None]
    bare = (deep - WHITE * (1 - share)) / np.maximum(share, 1 / WHITE)
    made = np.concatenate([bare.clip(0, WHITE), share * WHITE], axis=2)
    return (made + 0.5).astype(np.uint16)


def deepened(png: bytes, pixels: np.ndarray, compression: int) -> bytes:
    """The PNG file with other pixels, [H, W, C] uint16, C 3 or 4; what it says beside them stays.

    Parameters
    ----------
    compression : 0 to 9; -1: zlib's own choice.
    """
    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    made, is_drawn = [SIGNATURE], False
    for kind, body in _chunks(png):
        if kind == b"IHDR":
            made.append(_chunk(kind, head))
        elif kind != b"IDAT":
            made.append(_chunk(kind, body))
        elif not is_drawn:
            made += [_chunk(kind, part) for part in _compressed(pixels, compression)]
            is_drawn = True
    return b"".join(made)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _compressed(pixels: np.ndarray, compression: int) -> Iterator[bytes]:
    """Bodies of IDAT chunks."""
    packer = zlib.compressobj(compression)
    above = np.zeros((1, pixels.shape[1] * pixels.shape[2] * 2), dtype=np.uint8)
    for top in range(0, len(pixels), BAND):
        rows = pixels[top : top + BAND].astype(">u2").view(np.uint8).reshape(-1, above.shape[1])
        steps = rows - np.concatenate([above, rows[:-1]])
        above = rows[-1:]
        filtered = np.insert(steps, 0, UP, axis=1)
        yield packer.compress(filtered.tobytes())
    yield packer.flush()
