"""The upscale pipelines that diffusers ships, as functions of tiles."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.api import ModelUnusable, loading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from imgtool.api import Runtime

SCALES = {
    "StableDiffusionUpscalePipeline": 4,
    "StableDiffusionLatentUpscalePipeline": 2,
    "LDMSuperResolutionPipeline": 4,
}


@dataclass(frozen=True)
class Upscaler:
    """A pipeline and what can be read from its nets.

    Attributes
    ----------
    scale : how much larger its results are.
    step : sides that it takes are multiples of it; others it would round down in silence.
    per_noise : pixels of the input for each cell of the noise that it starts from.
    """

    pipe: Any
    scale: int
    step: int
    per_noise: int

    @property
    def name(self) -> str:
        """The pipeline's class."""
        return type(self.pipe).__name__

    @property
    def nets(self) -> list[nn.Module]:
        """The nets that a tile goes through."""
        found = (getattr(self.pipe, name, None) for name in ("unet", "vae", "vqvae"))
        return [net for net in found if net is not None]

    @property
    def takes_noise(self) -> bool:
        """Whether the noise that it starts from can be given, so that tiles can share it."""
        return "latents" in self._accepted

    @property
    def noise_channels(self) -> int:
        """Channels of that noise."""
        channels: int = self.pipe.vae.config.latent_channels
        return channels

    @property
    def _accepted(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(type(self.pipe).__call__).parameters

    def __call__(
        self,
        pixels: Tensor,
        noise: Tensor | None,
        generators: Sequence[torch.Generator],
        settings: Mapping[str, object],
    ) -> Tensor:
        """[B, 3, h·scale, w·scale] of [B, 3, h, w], both 0..1.

        Parameters
        ----------
        noise : [B, C, ·, ·] to start from, where `takes_noise`.
        generators : one a tile, for all other noise.
        settings : arguments of the pipeline; those that it does not take, and None, are left out.
        """
        given = {
            name: [value] * len(pixels) if isinstance(value, str) else value
            for name, value in settings.items()
            if name in self._accepted and value is not None
        }
        if noise is not None:
            given["latents"] = noise.to(self.pipe.device, self.pipe.unet.dtype)
        is_text_free = "prompt" not in self._accepted
        made: torch.Tensor = self.pipe(
            # Pipelines with an image processor take 0..1; the other is given what it makes of them.
            image=pixels * 2 - 1 if is_text_free else pixels,
            generator=list(generators),
            output_type="pt",
            **given,
        ).images
        return made.float().cpu()


def load_upscaler(folder: Path, runtime: Runtime) -> Upscaler:
    """The upscale pipeline in a folder of diffusers, on the runtime's device.

    Raises
    ------
    ModelUnusable : it is of another class, or cannot be loaded.
    """
    name = _class_of(folder)
    if name not in SCALES:
        raise ModelUnusable(
            f"{str(folder)!r} is a {name or 'folder of no pipeline'}, which does not enlarge",
            f"Pipelines that do: {', '.join(SCALES)}",
        )
    with loading(folder, "transformers", "diffusers"):
        import diffusers

        pipe = getattr(diffusers, name).from_pretrained(
            folder, dtype=runtime.torch_dtype, use_safetensors=True, local_files_only=True,
            trust_remote_code=False,
        )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    runtime.choose_attention(pipe)
    return _measured(pipe.to(runtime.torch_device), SCALES[name])


def _class_of(folder: Path) -> str:
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(index.get("_class_name", "")) if isinstance(index, dict) else ""


def _measured(pipe: Any, scale: int) -> Upscaler:
    halvings = 2 ** (len(pipe.unet.config.block_out_channels) - 1)
    decoder = getattr(pipe, "vae", None) or pipe.vqvae
    cell = 2 ** (len(decoder.config.block_out_channels) - 1)
    if scale == cell:
        # The net runs on as many cells as the input has pixels; the image processor of the
        # pipeline rounds to the decoder's cells all the same.
        return Upscaler(pipe, scale, max(halvings, cell), 1)
    return Upscaler(pipe, scale, cell * max(1, halvings // scale), cell // scale)
