"""From what a net made to the picture asked for: its size, its colours, its bits a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from imgtool.api import in_8_bits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from imgtool_sr.colour import Moments

BAND = 256
Resample = Image.Resampling


def resized(
    picture: np.ndarray, size: tuple[int, int], how: Resample = Resample.LANCZOS
) -> np.ndarray:
    """[H, W, C] or [H, W] at width and height `size`; dtype kept, anti-aliased."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    if picture.dtype == np.uint8:
        return np.asarray(Image.fromarray(picture).resize(size, how))
    planes = picture[..., None] if picture.ndim == 2 else picture
    made = np.empty((size[1], size[0], planes.shape[2]), dtype=picture.dtype)
    for channel in range(planes.shape[2]):
        plane = Image.fromarray(planes[..., channel].astype(np.float32))
        values = np.asarray(plane.resize(size, how))
        if picture.dtype == np.uint16:
            values = values.clip(0, 65535) + 0.5
        made[..., channel] = values
    return made[..., 0] if picture.ndim == 2 else made


def finished(
    picture: np.ndarray, source: np.ndarray, size: tuple[int, int], colour_fix: str
) -> np.ndarray:
    """[H, W, 3] at width and height `size`, as many bits as the source has, rounded once.

    Parameters
    ----------
    picture : [h, w, 3] uint16, what the net made.
    source : [·, ·, 3] uint8 or uint16, the picture that was enlarged.
    colour_fix : `none`, `wavelet`, `adain` or `ycbcr`; see `imgtool_sr.colour`.
    """
    picture = resized(picture, size)
    if colour_fix != "none":
        return _with_colours(picture, resized(source, size, Resample.BICUBIC), colour_fix)
    return in_8_bits(picture) if source.dtype == np.uint8 else picture


def _with_colours(picture: np.ndarray, source: np.ndarray, name: str) -> np.ndarray:
    from imgtool_sr.colour import RADIUS

    fix = _fix(picture, source, name)
    margin = RADIUS if name == "wavelet" else 0
    made = np.empty(picture.shape, dtype=source.dtype)
    white = np.iinfo(source.dtype).max
    for top in range(0, len(picture), BAND):
        first = max(0, top - margin)
        rows = slice(first, top + BAND + margin)
        fixed = fix(_tensor(picture[rows]), _tensor(source[rows])).clamp(0.0, 1.0)
        band = fixed.mul(white).round().permute(1, 2, 0).numpy()
        made[top : top + BAND] = band[top - first :][:BAND]
    return made


def _fix(picture: np.ndarray, source: np.ndarray, name: str) -> Callable[[Tensor, Tensor], Tensor]:
    from imgtool_sr import colour

    if name == "adain":
        of_picture, of_source = _moments(picture), _moments(source)
        return lambda y, x: colour.adain(y, of_picture, of_source)
    return {"wavelet": colour.wavelet, "ycbcr": colour.luma_of}[name]


def _moments(picture: np.ndarray) -> Moments:
    import torch

    from imgtool_sr.colour import moments_of

    total, squares = torch.zeros(2, 3, dtype=torch.float64)
    for band in _bands(picture):
        values = _tensor(band).double().flatten(1)
        total += values.sum(1)
        squares += values.square().sum(1)
    return moments_of(picture.shape[0] * picture.shape[1], total, squares)


def _bands(picture: np.ndarray) -> Iterator[np.ndarray]:
    for top in range(0, len(picture), BAND):
        yield picture[top : top + BAND]


def _tensor(picture: np.ndarray) -> Tensor:
    """[3, H, W] float32, 0..1."""
    import torch

    white = np.float32(np.iinfo(picture.dtype).max)
    return torch.from_numpy(picture.astype(np.float32) / white).permute(2, 0, 1)
