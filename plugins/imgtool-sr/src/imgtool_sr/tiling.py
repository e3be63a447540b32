"""Where tiles lie along an axis, and how much of each pixel is theirs.

Neighbouring tiles share `overlap` pixels. The middle of what they share is blended; the rest, a
margin of either, only gives the net its surroundings and is thrown away. The weights of all tiles
add up to one at every pixel, and no tile needs pixels beyond the picture's edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Axis:
    """Tiles along one side of a picture.

    Attributes
    ----------
    length : of the side, pixels; a multiple of `step`.
    tile : of a tile, pixels; at most `length`, and a multiple of `step`.
    overlap : pixels that neighbours share at least; at most half a tile.
    step : starts of tiles are multiples of it, so that a net's own grid lies alike in all.
    """

    length: int
    tile: int
    overlap: int
    step: int = 1

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First pixel of each tile, spread evenly; the last tile ends with the side."""
        room = self.length - self.tile
        if room <= 0:
            return (0,)
        stride = (self.tile - self.overlap) // self.step * self.step
        count = -(-room // stride)
        return tuple(
            room if at == count else room * at // count // self.step * self.step
            for at in range(count + 1)
        )

    @cached_property
    def _middles(self) -> list[float]:
        """Middle of what each tile shares with the next one."""
        pairs = zip(self.starts, self.starts[1:], strict=False)
        return [(one + self.tile + two) / 2 for one, two in pairs]

    @property
    def blend(self) -> int:
        """Pixels over which one tile gives way to the next: a quarter of the overlap."""
        return self.overlap // 4

    def weights(self, index: int, scale: int) -> np.ndarray:
        """[tile·scale] float32: the tile's share of each pixel of a result `scale` times as large.

        A raised cosine where two tiles blend; 0 in the margins, 1 between and at the side's ends.
        """
        places = self.starts[index] + (np.arange(self.tile * scale) + 0.5) / scale
        share = np.ones(len(places), dtype=np.float32)
        if index > 0:
            share *= self._rise(places, index - 1)
        if index < len(self.starts) - 1:
            share *= 1 - self._rise(places, index)
        return share

    def _rise(self, places: np.ndarray, seam: int) -> np.ndarray:
        """How far the tile after a seam has taken over from the one before."""
        past = places - self._middles[seam]
        if not self.blend:
            return (past >= 0).astype(np.float32)
        way = (past / self.blend + 0.5).clip(0.0, 1.0)
        return (0.5 - 0.5 * np.cos(np.pi * way)).astype(np.float32)

    def begins(self, index: int, scale: int) -> int:
        """First pixel of the result in which the tile has a share."""
        if index == 0:
            return 0
        return self.starts[index] * scale + int(np.argmax(self.weights(index, scale) > 0))


@dataclass(frozen=True)
class Grid:
    """Tiles over a picture: rows of tiles along `down`, each with tiles along `across`."""

    down: Axis
    across: Axis

    @property
    def count(self) -> int:
        """Tiles in all."""
        return len(self.down.starts) * len(self.across.starts)

    def rows(self) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """For each row of tiles its number, and the top left pixel of each of its tiles."""
        for number, top in enumerate(self.down.starts):
            yield number, [(top, left) for left in self.across.starts]


def least_edge(overlap: int, step: int) -> int:
    """Edge of the smallest tiles: two overlaps, or an overlap and a step of the net's grid."""
    return -(-(overlap + max(step, overlap)) // step) * step


def grid(height: int, width: int, tile: int, overlap: int, step: int = 1) -> Grid:
    """Tiles of at most `tile` pixels over a picture whose sides are multiples of `step`.

    Raises
    ------
    ValueError : tiles are smaller than `least_edge`.
    """
    edge = tile // step * step
    if edge < least_edge(overlap, step) and edge < max(height, width):
        raise ValueError(f"tiles of {tile} pixels are too small for an overlap of {overlap}")
    down, across = (Axis(side, min(edge, side), overlap, step) for side in (height, width))
    return Grid(down, across)
