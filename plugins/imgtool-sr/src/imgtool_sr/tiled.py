"""What stages share whose net takes a picture tile by tile."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol, TypeVar

from imgtool.api import BadParams, OutOfMemory
from imgtool_sr.enlarging import Enlarging, HasTarget
from imgtool_sr.sizes import passes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import nn

    from imgtool.api import Row, Runtime
    from imgtool_sr.stitching import Enlarge
    from imgtool_sr.tiling import Grid

log = logging.getLogger("imgtool.sr")
LEAST_TILE = 64


class HasTiles(HasTarget, Protocol):
    """Parameters of a stage that works in tiles."""

    @property
    def tile(self) -> int:
        """Edge of a tile; 0: what fits."""

    @property
    def overlap(self) -> int:
        """Pixels that neighbours share."""

    @property
    def tile_batch(self) -> int:
        """Tiles at once."""

    @property
    def colour_fix(self) -> str:
        """Whose colours the result has."""


P = TypeVar("P", bound=HasTiles)


class Tiled(Enlarging[P]):
    """A net of one scale over tiles: as often as needed, then resampled to the size asked for.

    Attributes
    ----------
    step, least : sides that the net takes are multiples of `step`, and `least` pixels or more.
    tile_edge : edge of tiles in use; 0: not chosen yet.
    """

    step: int = 1
    least: int = 1
    tile_edge: int

    def open(self, params: P, runtime: Runtime) -> None:
        """Read what was asked for.

        Raises
        ------
        BadParams : sizes mean nothing, or tiles are too small for their overlap.
        """
        super().open(params, runtime)
        if params.tile and params.tile < 2 * params.overlap:
            raise BadParams(
                f"--tile {params.tile} is less than two of --overlap {params.overlap}",
                "Give larger tiles or less overlap",
            )
        self.tile_edge = params.tile

    def enlarge(
        self, row: Row, source: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, dict[str, object]]:
        """The picture at `size`.

        Raises
        ------
        ValueError : the net gives NaN.
        OutOfMemory : the smallest tile does not fit.
        """
        from imgtool_sr.finishing import finished, resized

        picture = self.begun(source, size)
        runs = passes((picture.shape[1], picture.shape[0]), size, self.net_scale)
        for run in range(runs):
            if run:
                # No larger than the last run needs: what it makes must fit where the result does.
                width, height = (-(-side // self.net_scale) for side in size)
                picture = resized(
                    picture, (min(picture.shape[1], width), min(picture.shape[0], height))
                )
            picture = self._once(picture, row, (run, runs))
        facts = {"native": self.net_scale, "passes": runs, "colour_fix": self.params.colour_fix}
        return finished(picture, source, size, self.params.colour_fix), {**facts, **self.about()}

    @property
    def net_scale(self) -> int:
        """How much larger the net's results are than what it takes."""
        return self.native

    def begun(self, source: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """What the net takes of a picture that is to be enlarged to `size`."""
        return source

    def _once(self, picture: np.ndarray, row: Row, run: tuple[int, int]) -> np.ndarray:
        """One run of several of the net over a picture: [H·net_scale, W·net_scale, 3] uint16."""
        from imgtool_sr.stitching import enlarged, padded
        from imgtool_sr.tiling import grid

        height, width = picture.shape[:2]
        whole = padded(picture, self.step, self.least)
        edge = self.tile_edge or self.fitting_tile()
        while True:
            tiles = grid(whole.shape[0], whole.shape[1], edge, self.params.overlap, self.step)
            try:
                net = self.net(row, tiles, run[0])
                made = enlarged(whole, tiles, self.net_scale, net, self._counter(tiles.count, run))
            except OutOfMemory:
                edge = self._smaller(edge)
            else:
                self.tile_edge = edge
                return made[: height * self.net_scale, : width * self.net_scale]

    def _counter(self, tiles: int, run: tuple[int, int]) -> Callable[[int], None]:
        """Tells how far the batch is, as if all its pictures had as many tiles as this run."""
        (at, rows), (number, runs) = self.place, run
        done = (at * runs + number) * tiles

        def advance(more: int) -> None:
            nonlocal done
            done += more
            self.runtime.advance(done, rows * runs * tiles)

        return advance

    def _smaller(self, edge: int) -> int:
        """Half the edge; inside the handler of what did not fit, which goes on otherwise."""
        from imgtool_sr.tiling import least_edge

        half = edge // 2 // self.step * self.step
        if half < max(LEAST_TILE, least_edge(self.params.overlap, self.step)):
            raise
        log.warning("memory ran out: going on with tiles of %d pixels", half)
        return half

    def fitting_tile(self) -> int:
        """Edge of tiles that fit in memory; one for all machines where bits must be the same."""
        from imgtool_sr.peak import bytes_per_pixel, tile_edge
        from imgtool_sr.tiling import least_edge

        free = 0 if self.runtime.deterministic else self.runtime.device_report().available_bytes
        edge = tile_edge(free, bytes_per_pixel(self.nets(), self.try_tile), self.params.tile_batch)
        return max(edge, least_edge(self.params.overlap, self.step))

    @abstractmethod
    def nets(self) -> Sequence[nn.Module]:
        """The nets that a tile goes through."""

    @abstractmethod
    def try_tile(self, edge: int) -> object:
        """Run the net once on a tile of that edge."""

    @abstractmethod
    def net(self, row: Row, tiles: Grid, run: int) -> Enlarge:
        """What enlarges tiles of the row's picture in one run over it."""

    @abstractmethod
    def about(self) -> dict[str, object]:
        """What to record of the net."""
