"""The declaration of `sr.diffusers`: the upscale pipelines that diffusers ships."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import (
    NEGATIVE_PROMPT,
    PROMPT,
    SEED,
    Bounds,
    Help,
    ModelRef,
    ModelUnusable,
    derive_seed,
    optional,
)
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
    from imgtool_sr.tiling import Grid
    from imgtool_sr.upscalers import Upscaler

TASK = "super-resolution"


@dataclass(frozen=True)
class DiffusersParams:
    """Parameters of `sr.diffusers`."""

    model: Annotated[str, Help("Folder or hub id of an upscale pipeline."), ModelRef(TASK)] = ""
    scale: Scale = None
    size: Size = ""
    steps: Annotated[int, Help("Denoising steps; 0: the pipeline's own."), Bounds(0, 1000)] = 0
    guidance: Annotated[
        float | None, Help("Guidance scale; none: the pipeline's own."), Bounds(0, 100)
    ] = None
    noise_level: Annotated[
        int | None, Help("Noise added to the input; none: the pipeline's own."), Bounds(0, 1000)
    ] = None
    negative: Annotated[str, Help("What to keep out of pictures whose row does not say.")] = ""
    tile: TileSize = 0
    overlap: Overlap = 32
    tile_batch: TileBatch = 1
    colour_fix: Annotated[ColourFix, COLOUR_HELP] = "wavelet"
    max_megapixels: MaxMegapixels = MOST_MEGAPIXELS


class Diffusers(Tiled[DiffusersParams]):
    """Detail drawn by diffusion, tile by tile. Tiles share their noise where the pipeline can.

    A tile knows nothing of the others' content: what is drawn may differ between them.
    """

    id = "sr.diffusers"
    summary = "Enlarge by an upscale pipeline of diffusers, which draws detail."
    consumes = (*Tiled.consumes, optional(PROMPT), optional(NEGATIVE_PROMPT), SEED)

    upscaler: Upscaler

    def open(self, params: DiffusersParams, runtime: Runtime) -> None:
        """Load the pipeline.

        Raises
        ------
        BadParams : sizes or tiles mean nothing.
        ModelUnusable : no pipeline is named, or it does not enlarge.
        """
        from imgtool_sr.upscalers import load_upscaler

        super().open(params, runtime)
        if not params.model:
            raise ModelUnusable("sr.diffusers: no pipeline is named", "Give --model FOLDER")
        model = runtime.model(params.model, TASK)
        key = ("upscaler", model.digest, str(runtime.torch_device), str(runtime.torch_dtype))
        self.upscaler = runtime.load_once(key, lambda: load_upscaler(model.path, runtime))
        # Nets that mirror at edges need two cells of their coarsest level.
        self.step, self.least = self.upscaler.step, 2 * self.upscaler.step

    @property
    def native(self) -> int:
        """Scale of the pipeline."""
        return self.upscaler.scale

    def about(self) -> dict[str, object]:
        """Model, pipeline and settings."""
        return {"model": self.params.model, "pipeline": self.upscaler.name, **self._settings()}

    def _settings(self) -> dict[str, object]:
        return {
            "num_inference_steps": self.params.steps or None,
            "guidance_scale": self.params.guidance,
            "noise_level": self.params.noise_level,
        }

    def nets(self) -> list[Any]:
        """The pipeline's nets."""
        return self.upscaler.nets

    def try_tile(self, edge: int) -> object:
        """Enlarge grey in one step."""
        import torch

        edge = max(edge // self.step * self.step, self.least)
        generator = torch.Generator().manual_seed(0)
        settings = {"prompt": "", "num_inference_steps": 1}
        return self.upscaler(torch.full((1, 3, edge, edge), 0.5), None, [generator], settings)

    def net(self, row: Row, tiles: Grid, run: int) -> Enlarge:
        """The pipeline with the row's prompt and noise."""
        from imgtool_sr.tensors import pictures, stacked

        noise = self._noise(row, tiles, run)
        settings = {
            **self._settings(),
            "prompt": str(row.values.get("prompt") or ""),
            "negative_prompt": str(row.values.get("negative_prompt") or self.params.negative),
        }
        size = 1 if self.runtime.deterministic else self.params.tile_batch

        def enlarge(parts: Sequence[Tile]) -> list[np.ndarray]:
            generators = [_generator(row, run, part.top, part.left) for part in parts]
            cuts = None if noise is None else self._cuts(noise, parts)
            return pictures(self.upscaler(stacked(parts), cuts, generators, settings))

        return lambda parts: self.runtime.halving(enlarge, parts, size)

    def _noise(self, row: Row, tiles: Grid, run: int) -> Any:
        """Noise for the whole picture, from which each tile cuts its own."""
        import torch

        if not self.upscaler.takes_noise:
            return None
        per = self.upscaler.per_noise
        shape = (self.upscaler.noise_channels, tiles.down.length // per, tiles.across.length // per)
        return torch.randn(shape, generator=row.generator(f"sr/{run}"))

    def _cuts(self, noise: Any, parts: Sequence[Tile]) -> Any:
        import torch

        per = self.upscaler.per_noise
        corners = [(part.top // per, part.left // per) for part in parts]
        height, width = (side // per for side in parts[0].pixels.shape[:2])
        return torch.stack([noise[:, y : y + height, x : x + width] for y, x in corners])

    def close(self) -> None:
        """Let go of the pipeline."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: DiffusersParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.model, TASK).weight_bytes if params.model else 0

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A latent diffusion upscaler of random weights, for few steps."""
        from imgtool_sr.tiny import save_ldm

        return {"model": str(save_ldm(folder / "ldm")), "steps": 2}


def _generator(row: Row, run: int, top: int, left: int) -> Any:
    import torch

    return torch.Generator().manual_seed(derive_seed(row.seed, "sr", run, top, left))
