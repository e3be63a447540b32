"""Checkpoints in OpenCLIP's layout as transformers' CLIPModel: HPSv2, LAION, DataComp and others.

Only names and shapes differ: the nets are the same. A file alone tells all shapes but the count of
heads; `open_clip_config.json` beside it says that, else the published widths are known.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from imgtool.api import ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
# Heads of the published vision towers by width; others have one head for each 64.
VISION_HEADS = {1280: 16, 1408: 16, 1664: 16}
NAMES = {
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "logit_scale": "logit_scale",
}
LAYERS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
NORMS = {
    "ln_final": "text_model.final_layer_norm",
    "visual.ln_pre": "vision_model.pre_layrnorm",  # spelled so in CLIPModel
    "visual.ln_post": "vision_model.post_layernorm",
}
BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")
IGNORED = {"attn_mask", "logit_bias", "input_resolution", "context_length", "vocab_size"}


def load_openclip(path: Path, dtype: Any) -> tuple[Any, Path]:
    """The CLIPModel that a file or folder holds, and the folder beside it.

    Raises
    ------
    ModelUnusable : its names or shapes are of another kind of net.
    """
    from safetensors.torch import load_file
    from transformers.models.clip.modeling_clip import CLIPModel

    folder = path if path.is_dir() else path.parent
    file = (
        next((path / n for n in WEIGHTS if (path / n).is_file()), None) if path.is_dir() else path
    )
    if file is None:
        raise ModelUnusable(f"{str(path)!r} holds none of {', '.join(WEIGHTS)}")
    weights = {_stripped(name): tensor for name, tensor in load_file(file).items()}
    config = clip_config(weights, _settings(folder))
    net = CLIPModel(config)
    found = net.load_state_dict(converted(weights), strict=False)
    lacking = [name for name in found.missing_keys if not name.endswith("position_ids")]
    if lacking or found.unexpected_keys:
        odd = (lacking or found.unexpected_keys)[0]
        raise ModelUnusable(f"{str(file)!r} is no OpenCLIP checkpoint: {odd!r} does not fit")
    return net.to(dtype), folder


def converted(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names of CLIPModel."""
    result: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        stem, _, kind = name.rpartition(".")
        if name in IGNORED:
            continue
        if match := BLOCK.fullmatch(name):
            tower = "vision_model" if match[1] else "text_model"
            result |= _block(f"{tower}.encoder.layers.{match[2]}", match[3], tensor)
        elif name == "text_projection":
            result["text_projection.weight"] = tensor.T.contiguous()
        elif name == "visual.proj":
            result["visual_projection.weight"] = tensor.T.contiguous()
        elif stem in NORMS:
            result[f"{NORMS[stem]}.{kind}"] = tensor
        else:
            result[NAMES.get(name, name)] = tensor
    return result


def _block(layer: str, name: str, tensor: Tensor) -> dict[str, Tensor]:
    if name in ("attn.in_proj_weight", "attn.in_proj_bias"):
        kind = name.rpartition("_")[2]
        return {
            f"{layer}.self_attn.{letter}_proj.{kind}": part.contiguous()
            for letter, part in zip("qkv", tensor.chunk(3), strict=True)
        }
    stem, _, kind = name.rpartition(".")
    return {f"{layer}.{LAYERS.get(stem, stem)}.{kind}": tensor}


def clip_config(weights: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Any:
    """The configuration that fits the weights; `settings` is OpenCLIP's `model_cfg`, or empty.

    Raises
    ------
    ModelUnusable : they lack what every CLIP has.
    """
    from transformers import CLIPConfig

    try:
        patch = weights["visual.conv1.weight"]
        positions = weights["visual.positional_embedding"]
        words, places = weights["token_embedding.weight"], weights["positional_embedding"]
        joint = weights["text_projection"].shape[1]
    except KeyError as err:
        raise ModelUnusable(f"the file is no OpenCLIP checkpoint: it lacks {err}") from None
    vision, text = settings.get("vision_cfg", {}), settings.get("text_cfg", {})
    width, edge = int(patch.shape[0]), int(patch.shape[-1])
    head_width = vision.get("head_width", 64)
    vision_heads = width // head_width if vision else VISION_HEADS.get(width, max(1, width // 64))
    text_width = int(words.shape[1])
    # OpenAI's own nets and those trained from them use another approximation of GELU.
    act = "quick_gelu" if settings.get("quick_gelu") else "gelu"
    shared = {"hidden_act": act, "projection_dim": joint}
    return CLIPConfig(
        projection_dim=joint,
        vision_config={
            "hidden_size": width,
            "intermediate_size": _mlp_width(weights, "visual.transformer"),
            "num_hidden_layers": _depth(weights, "visual.transformer"),
            "num_attention_heads": vision_heads,
            "image_size": edge * round((int(positions.shape[0]) - 1) ** 0.5),
            "patch_size": edge,
            **shared,
        },
        text_config={
            "hidden_size": text_width,
            "intermediate_size": _mlp_width(weights, "transformer"),
            "num_hidden_layers": _depth(weights, "transformer"),
            "num_attention_heads": text.get("heads", max(1, text_width // 64)),
            "max_position_embeddings": int(places.shape[0]),
            "vocab_size": int(words.shape[0]),
            # The end mark is the last word; the start mark the one before it.
            "bos_token_id": int(words.shape[0]) - 2,
            "eos_token_id": int(words.shape[0]) - 1,
            "pad_token_id": 0,
            **shared,
        },
    )


def _mlp_width(weights: Mapping[str, Tensor], tower: str) -> int:
    return int(weights[f"{tower}.resblocks.0.mlp.c_fc.weight"].shape[0])


def _depth(weights: Mapping[str, Tensor], tower: str) -> int:
    found = re.compile(rf"{re.escape(tower)}\.resblocks\.(\d+)\.")
    return 1 + max(int(m[1]) for name in weights if (m := found.match(name)))


def _stripped(name: str) -> str:
    return name.removeprefix("module.").removeprefix("model.")


def _settings(folder: Path) -> Mapping[str, Any]:
    file = folder / "open_clip_config.json"
    if not file.is_file():
        return {}
    config: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return config.get("model_cfg", {})  # type: ignore[no-any-return]
