"""Latents to pictures: undoing the model's scaling, and the autoencoder."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.api import BadParams, ModelUnusable
from imgtool_generate.loading import load_vae

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch

    from imgtool.api import Runtime
    from imgtool_generate.decode import Params

log = logging.getLogger("imgtool.generate")


@dataclass
class Decoder:
    """An autoencoder, ready to decode."""

    params: Params
    runtime: Runtime
    vae: Any

    @classmethod
    def open(cls, params: Params, runtime: Runtime) -> Decoder:
        """Load the autoencoder of the model.

        Raises
        ------
        ModelUnusable : the model has none that is known here.
        """
        import torch

        vae = load_vae(params.model, runtime, runtime.torch_dtype)
        if vae.dtype == torch.float16 and vae.config.get("force_upcast", False):
            # Its activations do not fit in half precision: pictures would be black.
            vae = load_vae(params.model, runtime, torch.float32)
        if params.vae_tiling:
            if not hasattr(vae, "enable_tiling"):
                raise BadParams(f"{type(vae).__name__} cannot decode in tiles", "Leave tiling out")
            # The nets are shared, the setting is not.
            vae = copy.copy(vae)
            vae.enable_tiling()
        if type(vae).__name__ == "AutoencoderKLFlux2":
            raise ModelUnusable(
                "the autoencoder of FLUX.2 is not known here", "Name a model of another family"
            )
        return cls(params, runtime, vae)

    def decode(
        self, latents: Sequence[np.ndarray], ids: Sequence[str]
    ) -> tuple[list[np.ndarray], list[int]]:
        """Pictures [H, W, 3] uint8, and positions of rows that gave NaN twice."""
        pictures: list[Any] = [None] * len(latents)
        for places in _same_shapes(latents):
            found = self.runtime.halving(self._compute, [latents[at] for at in places])
            for at, picture in zip(places, found, strict=True):
                pictures[at] = picture
        pictures, broken = self.runtime.retry_broken(pictures, self._again(latents))
        images = [to_uint8(picture) for picture in pictures]
        for at, image in enumerate(images):
            if at not in broken and bool((image == image[:1, :1]).all()):
                log.warning("row %s: the picture has one colour throughout", ids[at])
        return images, broken

    def _again(self, latents: Sequence[np.ndarray]) -> Any:
        import torch

        if self.vae.dtype == torch.float32:
            return None

        def in_float32(places: list[int]) -> list[np.ndarray]:
            vae = load_vae(self.params.model, self.runtime, torch.float32)
            single = Decoder(self.params, self.runtime, vae)
            return [single._compute([latents[at]])[0] for at in places]

        return in_float32

    def _compute(self, latents: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Pictures [H, W, 3] float32 of latents of one shape, black at 0 and white at 1."""
        import numpy as np
        import torch

        device = self.runtime.torch_device
        stack = torch.from_numpy(np.stack(latents)).to(device, self.vae.dtype)
        with torch.no_grad():
            z = unscale(stack, self.vae.config)
            five = type(self.vae).__name__ in ("AutoencoderKLQwenImage", "AutoencoderKLWan")
            decoded = self.vae.decode(z[:, :, None] if five else z, return_dict=False)[0]
        pixels = (decoded[:, :, 0] if five else decoded) / 2 + 0.5
        return list(pixels.permute(0, 2, 3, 1).float().cpu().numpy())


def unscale(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """Latents as the autoencoder made them, from latents as the model knows them.

    z = (x - shift) * scale was applied in training, or (x - mean) / std by channel.

    Parameters
    ----------
    latents : [B, C, h, w].
    config : of the autoencoder.
    """
    import torch

    scale = config.get("scaling_factor") or 1.0
    mean, std = config.get("latents_mean"), config.get("latents_std")
    if mean is not None and std is not None:
        centre, spread = (
            torch.tensor(values, dtype=latents.dtype, device=latents.device).view(1, -1, 1, 1)
            for values in (mean, std)
        )
        return latents * spread / scale + centre
    return latents / scale + (config.get("shift_factor") or 0.0)


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """[H, W, 3] from 0 to 1 as 8-bit levels, rounded; NaN is black."""
    import numpy as np

    levels = np.nan_to_num(picture, nan=0.0, posinf=1.0, neginf=0.0)
    image: np.ndarray = (levels.clip(0, 1) * 255).round().astype(np.uint8)
    return image


def _same_shapes(arrays: Sequence[np.ndarray]) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for at, array in enumerate(arrays):
        groups.setdefault(array.shape, []).append(at)
    return list(groups.values())
