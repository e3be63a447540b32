"""The declaration of `sr.spandrel`: community checkpoints."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import Help, ModelRef, ModelUnusable
from imgtool_sr.options import (
    COLOUR_HELP,
    MOST_MEGAPIXELS,
    ColourFix,
    MaxMegapixels,
    Overlap,
    Scale,
    Size,
    TileBatch,
    TileSize,
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


@dataclass(frozen=True)
class SpandrelParams:
    """Parameters of `sr.spandrel`."""

    model: Annotated[str, Help("Checkpoint, .safetensors."), ModelRef(TASK)] = ""
    scale: Scale = None
    size: Size = ""
    tile: TileSize = 0
    overlap: Overlap = 48
    tile_batch: TileBatch = 4
    colour_fix: Annotated[ColourFix, COLOUR_HELP] = "none"
    per_channel: Annotated[
        bool, Help("Run a model of one channel on red, green and blue in turn.")
    ] = False
    max_megapixels: MaxMegapixels = MOST_MEGAPIXELS


class Spandrel(Tiled[SpandrelParams]):
    """ESRGAN, Compact, SwinIR, HAT, DAT and whatever else spandrel reads, in tiles."""

    id = "sr.spandrel"
    summary = "Enlarge or restore by a community checkpoint (ESRGAN, SwinIR, HAT…)."

    found: Any
    guarded: Guarded

    def open(self, params: SpandrelParams, runtime: Runtime) -> None:
        """Load the checkpoint.

        Raises
        ------
        BadParams : sizes or tiles mean nothing.
        ModelUnusable : no checkpoint is named, or it is of no use here.
        """
        from imgtool_sr.tensors import Guarded

        super().open(params, runtime)
        if not params.model:
            raise ModelUnusable(
                "sr.spandrel: no checkpoint is named", "Give --model FILE.safetensors"
            )
        model = runtime.model(params.model, TASK)
        if model.kind != "single-file":
            raise ModelUnusable(
                f"{params.model!r} is a folder", "Name the .safetensors file inside it"
            )
        self.found = self._loaded(model.path, model.digest)
        self.guarded = Guarded(self.found, self.found.device, self.found.dtype)
        sizes = self.found.size_requirements
        self.step, self.least = sizes.multiple_of, max(1, sizes.minimum)
        self._check_channels()
        self._say_what_tiles_cost()

    def _loaded(self, path: Path, digest: str) -> Any:
        from imgtool_sr.checkpoints import load_checkpoint

        device, dtype = self.runtime.torch_device, self.runtime.torch_dtype

        def load() -> Any:
            import torch

            found = load_checkpoint(path)
            can = {torch.float16: found.supports_half, torch.bfloat16: found.supports_bfloat16}
            return found.eval().to(device, dtype if can.get(dtype, True) else torch.float32)

        return self.runtime.load_once(("spandrel", digest, str(device), str(dtype)), load)

    def _check_channels(self) -> None:
        if self.found.input_channels == 1 and not self.params.per_channel:
            self.runtime.release()
            raise ModelUnusable(
                f"{self.params.model!r} takes pictures of one channel",
                "--per-channel runs it on red, green and blue in turn",
            )

    def _say_what_tiles_cost(self) -> None:
        from imgtool_sr.checkpoints import whole_picture_layers

        self.approximate = whole_picture_layers(self.found.model)
        if self.found.tiling.name == "DISCOURAGED" or self.approximate:
            why = ", ".join(self.approximate) or self.found.architecture.name
            log.warning("%s looks at whole pictures: tiles may differ a little from one", why)

    @property
    def native(self) -> int:
        """Scale of the checkpoint."""
        scale: int = self.found.scale
        return scale

    def about(self) -> dict[str, object]:
        """Checkpoint, architecture and precision."""
        return {
            "model": self.params.model,
            "architecture": self.found.architecture.name,
            "dtype": str(self.found.dtype).removeprefix("torch."),
            "tiles_equal_whole": not self.approximate,
        }

    def nets(self) -> list[Any]:
        """The checkpoint's net."""
        return [self.found.model]

    def try_tile(self, edge: int) -> object:
        """Run the net on grey."""
        import torch

        channels = self.found.input_channels
        return self._run(torch.full((1, channels, edge, edge), 0.5))

    def net(self, row: Row, tiles: Grid, run: int) -> Enlarge:
        """The net, on a few tiles at once."""
        size = 1 if self.runtime.deterministic else self.params.tile_batch
        return lambda parts: self.runtime.halving(self._tiles, parts, size)

    def _tiles(self, tiles: Sequence[Tile]) -> list[np.ndarray]:
        from imgtool_sr.tensors import pictures, stacked

        pixels = stacked(tiles)
        alone = self.found.input_channels == 1
        made = self._run(pixels.flatten(0, 1)[:, None] if alone else pixels)
        return pictures(made.view(len(tiles), 3, *made.shape[-2:]))

    def _run(self, pixels: Any) -> Any:
        return self.guarded(pixels)

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: SpandrelParams, runtime: Runtime) -> int:
        """Size of the checkpoint."""
        return runtime.model(params.model, TASK).weight_bytes if params.model else 0

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A Compact net of random weights."""
        from imgtool_sr.tiny import save_compact

        return {"model": str(save_compact(folder / "compact.safetensors"))}
