"""The declaration of `sr.pocketsr`: one diffusion step over the enlarged picture."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import Bounds, Help, ModelRef, ModelUnusable
from imgtool_sr.options import (
    COLOUR_HELP,
    MOST_MEGAPIXELS,
    ColourFix,
    MaxMegapixels,
    Scale,
    Size,
    TileBatch,
)
from imgtool_sr.tiled import Tiled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from imgtool.api import Row, Runtime
    from imgtool_sr.stitching import Enlarge, Tile
    from imgtool_sr.tensors import Guarded
    from imgtool_sr.tiling import Grid

log = logging.getLogger("imgtool.sr")
TASK = "super-resolution"
SHIPPED = "sr/pocketsr"
MOST = 4
"""Enlargement that models are trained up to; what is more is resampled."""


@dataclass(frozen=True)
class PocketParams:
    """Parameters of `sr.pocketsr`."""

    model: Annotated[
        str, Help("Alias, or folder that `imgtool train sr.pocketsr` wrote."), ModelRef(TASK)
    ] = SHIPPED
    scale: Scale = None
    size: Size = ""
    tile: Annotated[
        int, Help("Edge of a tile, pixels of the result; 0: what fits in memory."), Bounds(0, 8192)
    ] = 0
    overlap: Annotated[
        int, Help("Pixels of the result that neighbouring tiles share."), Bounds(0, 1024)
    ] = 128
    tile_batch: TileBatch = 1
    colour_fix: Annotated[ColourFix, COLOUR_HELP] = "none"
    max_megapixels: MaxMegapixels = MOST_MEGAPIXELS


class Pocketsr(Tiled[PocketParams]):
    """Enlarges by bicubic interpolation to any size, then restores. No noise is drawn."""

    id = "sr.pocketsr"
    summary = "Enlarge by PocketSR: one diffusion step between a light encoder and decoder."
    native = 2
    default_of_family = True

    guarded: Guarded

    @property
    def net_scale(self) -> int:
        """Pictures are enlarged before."""
        return 1

    def open(self, params: PocketParams, runtime: Runtime) -> None:
        """Load the model.

        Raises
        ------
        BadParams : sizes or tiles mean nothing.
        ModelUnusable : the model is of another kind.
        """
        from imgtool_sr.checkpoints import whole_picture_layers

        super().open(params, runtime)
        model = runtime.model(params.model, TASK)
        key = ("pocketsr", model.digest, str(runtime.torch_device), str(runtime.torch_dtype))
        self.guarded = runtime.load_once(key, lambda: self._loaded(model.path))
        config = self.guarded.net.config
        self.step = self.least = config.step
        if whole_picture_layers(self.guarded.net) or not config.gate_window:
            log.warning("%s looks at whole pictures: tiles may differ from one", params.model)

    def _loaded(self, folder: Path) -> Guarded:
        from imgtool_sr.pocketsr.model import load_pocketsr
        from imgtool_sr.tensors import Guarded

        device, dtype = self.runtime.torch_device, self.runtime.torch_dtype
        try:
            net = load_pocketsr(folder)
        except (ValueError, OSError) as err:
            raise ModelUnusable(
                f"{str(folder)!r} holds no PocketSR model: {err}",
                "imgtool train sr.pocketsr -o FOLDER makes one",
            ) from None
        return Guarded(net.to(device, dtype), device, dtype)

    def begun(self, source: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """The picture at the size of the result, within what models are trained for."""
        from PIL.Image import Resampling

        from imgtool_sr.finishing import resized

        have = (source.shape[1], source.shape[0])
        sides = [min(max(wanted, had), MOST * had) for wanted, had in zip(size, have, strict=True)]
        return resized(source, (sides[0], sides[1]), Resampling.BICUBIC)

    def about(self) -> dict[str, object]:
        """Model and precision. The net sees farther than tiles overlap, if weakly."""
        return {
            "model": self.params.model,
            "dtype": str(self.guarded.dtype).removeprefix("torch."),
            "tiles_equal_whole": False,
        }

    def nets(self) -> list[Any]:
        """The net."""
        return [self.guarded.net]

    def try_tile(self, edge: int) -> object:
        """Restore grey."""
        import torch

        edge = max(edge // self.step, 1) * self.step
        return self.guarded(torch.full((1, 3, edge, edge), 0.5))

    def net(self, row: Row, tiles: Grid, run: int) -> Enlarge:
        """The net, on a few tiles at once."""
        size = 1 if self.runtime.deterministic else self.params.tile_batch
        return lambda parts: self.runtime.halving(self._tiles, parts, size)

    def _tiles(self, tiles: Sequence[Tile]) -> list[np.ndarray]:
        from imgtool_sr.tensors import pictures, stacked

        return pictures(self.guarded(stacked(tiles)))

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: PocketParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.model, TASK).weight_bytes

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A tiny net of random weights."""
        from imgtool_sr.tiny import save_pocket

        return {"model": str(save_pocket(folder / "pocketsr"))}
