"""LoRAs of the family: added to the frozen net, trained at one rank, kept at half of it."""

from collections.abc import Collection
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict

ADAPTER = "default"


def adapted_unet(
    base_dir: Path, layers: Collection[str], rank: int, seed: int
) -> UNet2DConditionModel:
    """The frozen net of a pipeline folder with a LoRA that does nothing yet."""
    unet = UNet2DConditionModel.from_pretrained(base_dir / "unet", torch_dtype=torch.float32)
    unet.requires_grad_(False)
    torch.manual_seed(seed)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(layers)))
    return unet


@torch.no_grad()
def cut_rank(unet: UNet2DConditionModel, rank: int) -> None:
    """Make every layer's product of up and down the nearest of `rank`: Eckart & Young (1936).

    Weights keep their shapes; beyond `rank` they are zero.
    """
    for layer in unet.modules():
        if not isinstance(layer, LoraLayer):
            continue
        down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
        left, scales, right = torch.linalg.svd(up.flatten(1) @ down.flatten(1), full_matrices=False)
        roots = scales[:rank].sqrt()
        down.zero_().flatten(1)[: len(roots)] = roots[:, None] * right[:rank]
        up.zero_().flatten(1)[:, : len(roots)] = left[:, :rank] * roots


def write_adapter(unet: UNet2DConditionModel, folder: Path, rank: int) -> None:
    """Write a LoRA that was cut to `rank`, in half precision, as `load_lora_weights` reads it."""
    layers = {
        name: (value[:rank] if ".lora_A." in name else value[:, :rank]).half().contiguous()
        for name, value in get_peft_model_state_dict(unet).items()
    }
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
