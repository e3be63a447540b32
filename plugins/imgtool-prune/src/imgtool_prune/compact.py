"""Denoisers whose layers have lost heads and neurons, for diffusers to load.

Import this module before diffusers loads a folder of the compact layout: diffusers imports nothing
because a folder names it. imgtool does so by itself.
"""

from __future__ import annotations

from typing import Any, ClassVar

from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from imgtool_prune.flux import Flux
from imgtool_prune.layout import KEY, shrink
from imgtool_prune.sd3 import SD3
from imgtool_prune.unet import UNet

# diffusers looks for ModelMixin here, to learn how these classes are loaded.
__all__ = [
    "ModelMixin",
    "PrunedFluxTransformer2DModel",
    "PrunedSD3Transformer2DModel",
    "PrunedUNet2DConditionModel",
]


class _Pruned:
    """Builds the dense net of a config, then takes out what its layout says."""

    adapter: ClassVar[type[UNet | SD3 | Flux]]

    @classmethod
    def from_config(
        cls, config: Any = None, return_unused_kwargs: bool = False, **given: Any
    ) -> Any:
        """See diffusers' `ConfigMixin.from_config`."""
        made: Any = super().from_config(config, return_unused_kwargs, **given)  # type: ignore[misc]
        net = made[0] if return_unused_kwargs else made
        shrink(net, cls.adapter().structures(net), net.config.get(KEY, {}))
        return made


class PrunedUNet2DConditionModel(_Pruned, UNet2DConditionModel):  # type: ignore[misc]
    """A UNet of Stable Diffusion with fewer heads and neurons."""

    adapter = UNet


class PrunedSD3Transformer2DModel(_Pruned, SD3Transformer2DModel):  # type: ignore[misc]
    """A transformer of Stable Diffusion 3 with fewer heads and neurons."""

    adapter = SD3


class PrunedFluxTransformer2DModel(_Pruned, FluxTransformer2DModel):  # type: ignore[misc]
    """A transformer of FLUX with fewer heads and neurons."""

    adapter = Flux
