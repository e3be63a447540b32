"""Pictures to the extractor's square, as clean-fid does it; and patches at full resolution.

Parmar, Zhang & Zhu (2022), arXiv 2104.11222: PIL's bicubic filter, which is antialiased, on each
channel in float32, never rounded to 8 bits between.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

RESIZE = "PIL bicubic, antialiased, float32, to a square"


@dataclass(frozen=True)
class Patches:
    """Squares cut out of each picture at full resolution.

    Attributes
    ----------
    count : how many of each picture; 0: the whole picture instead.
    edge : their edge, pixels; 0: that of the extractor, so that nothing is resized.
    """

    count: int = 0
    edge: int = 0


def squared(image: np.ndarray, edge: int) -> np.ndarray:
    """[3, edge, edge] float32, 0..1, of an [H, W, 3] uint8 picture of any shape."""
    channels = [_resized(image[..., channel], edge) for channel in range(3)]
    return np.stack(channels).clip(0, 255) / np.float32(255)


def _resized(channel: np.ndarray, edge: int) -> np.ndarray:
    values = channel.astype(np.float32)
    if values.shape == (edge, edge):
        return values
    resized = Image.fromarray(values).resize((edge, edge), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def patches(image: np.ndarray, name: str, edge: int, count: int) -> list[np.ndarray]:
    """`count` squares of [edge, edge, 3], whose places follow from the picture's name alone.

    Raises
    ------
    ValueError : the picture is smaller than a patch.
    """
    height, width = image.shape[:2]
    if min(height, width) < edge:
        raise ValueError(f"it has {width}×{height} pixels, fewer than a patch of {edge}×{edge}")
    places = [
        (_draw(name, number, "top", height - edge), _draw(name, number, "left", width - edge))
        for number in range(count)
    ]
    return [image[top : top + edge, left : left + edge] for top, left in places]


def _draw(name: str, number: int, salt: str, most: int) -> int:
    """A number in 0..most, uniform over names."""
    text = f"{salt} {number} {name}".encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") % (most + 1)
