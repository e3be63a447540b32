"""Random nets of a few thousand weights in the formats that upscalers are published in.

`imgtool plugin check` and tests try stages on them. They enlarge, and mean nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from pathlib import Path


def save_compact(path: Path, scale: int = 2, channels: int = 3, layers: int = 2) -> Path:
    """A Compact checkpoint (SRVGGNetCompact): of radius `layers` + 2, for `scale`."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    width = 8
    net: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.PReLU(width)]
    for _ in range(layers):
        net += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
    net.append(nn.Conv2d(width, channels * scale**2, 3, padding=1))
    weights = {f"body.{name}": value for name, value in nn.Sequential(*net).state_dict().items()}
    save_file(weights, path)
    return path


def save_ldm(folder: Path) -> Path:
    """A latent diffusion upscaler (LDMSuperResolutionPipeline), x4."""
    from diffusers import DDIMScheduler, LDMSuperResolutionPipeline, UNet2DModel, VQModel

    torch.manual_seed(0)
    unet = UNet2DModel(
        in_channels=6, out_channels=3, block_out_channels=(8, 8), layers_per_block=1,
        norm_num_groups=4, attention_head_dim=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vqvae = VQModel(
        block_out_channels=(4, 4, 4), latent_channels=3, norm_num_groups=2, layers_per_block=1,
        num_vq_embeddings=8, down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
    )  # fmt: skip
    scheduler = DDIMScheduler(clip_sample=False)
    LDMSuperResolutionPipeline(vqvae=vqvae, unet=unet, scheduler=scheduler).save_pretrained(folder)
    return folder


def save_pocket(folder: Path) -> Path:
    """A PocketSR model whose decoder adds random detail."""
    from imgtool_sr.pocketsr.config import SIZES
    from imgtool_sr.pocketsr.model import PocketSR, save_pocketsr

    torch.manual_seed(0)
    model = PocketSR(SIZES["tiny"])
    nn.init.normal_(model.decoder.rise[-1].weight, std=0.1)
    save_pocketsr(model, folder)
    return folder
