"""A picture through a net in tiles, put together in memory that grows with the result alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgtool_sr.tiling import Grid

DEEP = 65535.0


@dataclass(frozen=True)
class Tile:
    """A part of a picture.

    Attributes
    ----------
    top, left : its first pixel in the picture.
    pixels : [h, w, 3] float32, 0..1.
    """

    top: int
    left: int
    pixels: np.ndarray


class Enlarge(Protocol):
    """What makes [h·scale, w·scale, 3] float32 results, 0..1, of tiles of one shape."""

    def __call__(self, tiles: Sequence[Tile], /) -> Sequence[np.ndarray]:
        """One result for each tile, in order."""


def enlarged(
    picture: np.ndarray,
    grid: Grid,
    scale: int,
    enlarge: Enlarge,
    advance: Callable[[int], None] = lambda tiles: None,
) -> np.ndarray:
    """The whole picture, `scale` times as large.

    Rows of tiles are blended in float32 and kept in 16 bits as soon as no further tile adds to
    them: nothing but the result is as large as the result.

    Parameters
    ----------
    picture : [H, W, 3] uint8 or uint16, as large as the grid.
    advance : told how many tiles are done since it was told last.

    Returns
    -------
    [H·scale, W·scale, 3] uint16.
    """
    height, width = grid.down.length * scale, grid.across.length * scale
    result = np.empty((height, width, 3), dtype=np.uint16)
    carried, done = np.zeros((0, width, 3), dtype=np.float32), 0
    for number, corners in grid.rows():
        top = grid.down.starts[number] * scale
        band = _band(picture, grid, corners, scale, enlarge)
        band *= grid.down.weights(number, scale)[:, None, None]
        band[done - top : done - top + len(carried)] += carried
        last = number + 1 == len(grid.down.starts)
        end = height if last else grid.down.begins(number + 1, scale)
        # Weights add up to one, up to rounding.
        result[done:end] = (band[done - top : end - top].clip(0.0, 1.0) * DEEP + 0.5).astype("u2")
        carried, done = band[end - top :].copy(), end
        advance(len(corners))
    return result


def _band(
    picture: np.ndarray,
    grid: Grid,
    corners: Sequence[tuple[int, int]],
    scale: int,
    enlarge: Enlarge,
) -> np.ndarray:
    """One row of tiles, blended along the row: [tile·scale, W·scale, 3] float32."""
    high, wide = grid.down.tile, grid.across.tile
    white = np.float32(np.iinfo(picture.dtype).max)
    tiles = [
        Tile(top, left, picture[top : top + high, left : left + wide].astype(np.float32) / white)
        for top, left in corners
    ]
    band = np.zeros((high * scale, grid.across.length * scale, 3), dtype=np.float32)
    for index, (tile, made) in enumerate(zip(tiles, enlarge(tiles), strict=True)):
        place = slice(tile.left * scale, (tile.left + wide) * scale)
        band[:, place] += made * grid.across.weights(index, scale)[:, None]
    return band


def padded(picture: np.ndarray, step: int, least: int) -> np.ndarray:
    """`picture` with its right and bottom mirrored until sides are multiples of `step`, and
    `least` pixels or more; one pixel is repeated."""
    sides = [max(-(-side // step) * step, -(-least // step) * step) for side in picture.shape[:2]]
    more = [(0, side - have) for side, have in zip(sides, picture.shape[:2], strict=True)]
    return np.pad(picture, [*more, (0, 0)], mode="reflect") if any(m for _, m in more) else picture
