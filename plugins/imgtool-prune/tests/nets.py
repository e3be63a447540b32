"""Tiny random denoisers, one for each family, and inputs to run them with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from layers import generator

from imgtool_prune.flux import Flux
from imgtool_prune.sd3 import SD3
from imgtool_prune.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

ADAPTERS: dict[str, Any] = {"sd": UNet, "sdxl": UNet, "sd3": SD3, "flux": Flux}
SD3_CONFIG: dict[str, Any] = {
    "sample_size": 8, "patch_size": 2, "in_channels": 4, "num_layers": 3, "attention_head_dim": 8,
    "num_attention_heads": 4, "joint_attention_dim": 32, "caption_projection_dim": 32,
    "pooled_projection_dim": 32, "out_channels": 4, "qk_norm": "rms_norm",
    "dual_attention_layers": (1,),
}  # fmt: skip
FLUX_CONFIG: dict[str, Any] = {
    "patch_size": 1, "in_channels": 16, "num_layers": 1, "num_single_layers": 2,
    "attention_head_dim": 16, "num_attention_heads": 3, "joint_attention_dim": 32,
    "pooled_projection_dim": 16, "axes_dims_rope": (4, 4, 8), "guidance_embeds": True,
}  # fmt: skip


def net(family: str) -> nn.Module:
    """A denoiser with weights that let everything act."""
    import tiny
    from diffusers import FluxTransformer2DModel, SD3Transformer2DModel

    torch.manual_seed(5)
    builders: dict[str, Callable[[], Any]] = {
        "sd3": lambda: SD3Transformer2DModel(**SD3_CONFIG),
        "flux": lambda: FluxTransformer2DModel(**FLUX_CONFIG),
    }
    build = builders.get(family, lambda: tiny.FAMILIES[family]().unet)
    made: nn.Module = build().eval().requires_grad_(False)
    return made


def run(denoiser: nn.Module, family: str) -> Tensor:
    """What it predicts from the same random inputs every time."""
    with torch.no_grad():
        found: Tensor = denoiser(**INPUTS[family](), return_dict=False)[0]
    return found


def _noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(9))


def _unet(width: int, **conditions: Any) -> dict[str, Any]:
    text = _noise(2, 5, width)
    return {"sample": _noise(2, 4, 8, 8), "timestep": 7, "encoder_hidden_states": text,
            **conditions}  # fmt: skip


def _sd3() -> dict[str, Any]:
    return {"hidden_states": _noise(2, 4, 8, 8), "encoder_hidden_states": _noise(2, 5, 32),
            "pooled_projections": _noise(2, 32),
            "timestep": torch.tensor([500.0, 500.0])}  # fmt: skip


def _flux() -> dict[str, Any]:
    return {"hidden_states": _noise(2, 16, 16), "encoder_hidden_states": _noise(2, 5, 32),
            "pooled_projections": _noise(2, 16), "timestep": torch.tensor([0.5, 0.5]),
            "guidance": torch.tensor([3.0, 3.0]), "img_ids": _noise(16, 3).abs().round(),
            "txt_ids": torch.zeros(5, 3)}  # fmt: skip


INPUTS: dict[str, Callable[[], dict[str, Any]]] = {
    "sd": lambda: _unet(16),
    "sdxl": lambda: _unet(
        32, added_cond_kwargs={"text_embeds": _noise(2, 16), "time_ids": _noise(2, 6)}
    ),
    "sd3": _sd3,
    "flux": _flux,
}
