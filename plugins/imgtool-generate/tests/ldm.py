"""Writes a saved tiny SD model as one file, with the names of the original checkpoints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from pathlib import Path

    import torch

LAYERS = 1
UNET_NAMES = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
VAE = (
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"mid_block\.resnets\.0", "mid.block_1"), (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{2 - int(m[1])}.block.{m[2]}"),
    (r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{2 - int(m[1])}.upsample"),
    ("conv_shortcut", "nin_shortcut"), ("conv_norm_out", "norm_out"),
)  # fmt: skip


def unet_name(name: str) -> str:
    """The original name of a parameter of the tiny UNet."""
    stem, _, kind = name.rpartition(".")
    if stem in UNET_NAMES:
        return f"{UNET_NAMES[stem]}.{kind}"
    for new, old in RESNET.items():
        if "resnets" in name:
            name = name.replace(f".{new}.", f".{old}.")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}", name)
    name = name.replace("mid_block.attentions.0", "middle_block.1")
    found = re.match(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", name)
    if not found:
        return name
    way, block, part, layer, rest = found.groups()
    at = int(block) * (LAYERS + 1) + int(layer)
    if part == "downsamplers":
        return f"input_blocks.{(int(block) + 1) * (LAYERS + 1)}.0.op.{rest.removeprefix('conv.')}"
    if part == "upsamplers":
        return f"output_blocks.{int(block) * (LAYERS + 1) + LAYERS}.1.{rest}"
    blocks = f"input_blocks.{at + 1}" if way == "down" else f"output_blocks.{at}"
    return f"{blocks}.{0 if part == 'resnets' else 1}.{rest}"


def vae_entry(name: str, value: torch.Tensor) -> tuple[str, torch.Tensor]:
    """The original name and shape of a parameter of the tiny autoencoder."""
    for pattern, old in VAE:
        name = re.sub(pattern, old, name)
    if re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name):
        value = value[:, :, None, None]
    return name, value


def save_single_file(model: Path, path: Path) -> Path:
    """Write the nets of a saved model to `path`."""
    nets = {net: load_file(next((model / net).glob("*.safetensors")))
            for net in ("unet", "vae", "text_encoder")}  # fmt: skip
    weights = {f"model.diffusion_model.{unet_name(n)}": v for n, v in nets["unet"].items()}
    for name, value in nets["vae"].items():
        old, shaped = vae_entry(name, value)
        weights[f"first_stage_model.{old}"] = shaped
    for name, value in nets["text_encoder"].items():
        inner = name if name.startswith("text_model.") else f"text_model.{name}"
        weights[f"cond_stage_model.transformer.{inner}"] = value
    save_file({name: value.contiguous() for name, value in weights.items()}, path)
    return path
