"""ImageReward as nets of transformers: BLIP's picture and text towers and a linear head.

Xu et al. (2023), arXiv 2304.05977. The published checkpoint has BLIP's own names; only names
differ. Shapes tell all but the count of heads, which is one for each 64.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.api import ModelUnusable, loading
from imgtool_score.clip import load_tokenizer
from imgtool_score.head import fold, layers
from imgtool_score.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from imgtool.api import Runtime

TASK = "image-reward"
LIMIT = 35
MEAN, STD = 0.16717363, 1.03333950
HEAD_WIDTH = 64
VISION = {
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding",
    "patch_embed.proj.weight": "embeddings.patch_embedding.weight",
    "patch_embed.proj.bias": "embeddings.patch_embedding.bias",
    "norm.weight": "post_layernorm.weight",
    "norm.bias": "post_layernorm.bias",
}
LAYERS = {
    "attn.qkv": "self_attn.qkv",
    "attn.proj": "self_attn.projection",
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
BLOCK = re.compile(r"blocks\.(\d+)\.(.+)\.(weight|bias)")


def standard(raw: float) -> float:
    """The head's number as the paper reports it: mean 0 and deviation 1 over its data."""
    return (raw - MEAN) / STD


@dataclass
class Rewarder:
    """The three parts, loaded.

    Attributes
    ----------
    limit : tokens of text that are read, marks included.
    weight, bias : of the folded head, float64.
    """

    vision: Any
    text: Any
    weight: Tensor
    bias: float
    tokenizer: Any
    preprocess: Preprocess
    digest: str
    device: Any
    limit: int = LIMIT

    def rewards(self, rows: Sequence[tuple[np.ndarray, str]]) -> list[float]:
        """One for each (picture, text)."""
        import torch

        ids = [
            self.tokenizer(text, truncation=True, max_length=self.limit).input_ids
            for _, text in rows
        ]
        pixels = self.preprocess([image for image, _ in rows])
        found: dict[int, float] = {}
        groups: dict[int, list[int]] = {}
        for index, tokens in enumerate(ids):
            groups.setdefault(len(tokens), []).append(index)
        with torch.inference_mode():
            for members in groups.values():
                # Texts of one length go together: nothing is padded.
                states = self._states(
                    pixels[members], torch.tensor([ids[index] for index in members])
                )
                raw = states.cpu().double() @ self.weight + self.bias
                found |= zip(members, map(standard, raw.tolist()), strict=True)
        return [found[index] for index in range(len(rows))]

    def _states(self, pixels: Tensor, ids: Tensor) -> Tensor:
        import torch

        ids = ids.to(self.device)
        seen = self.vision(pixel_values=pixels.to(self.device, self.vision.dtype)).last_hidden_state
        states: Tensor = self.text(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], device=self.device),
        ).last_hidden_state
        return states[:, 0]

    def tokens(self, text: str) -> int:
        """How many tokens a text has, marks included, before it is cut."""
        return len(self.tokenizer(text, truncation=False, verbose=False).input_ids)


def load_rewarder(runtime: Runtime, ref: str, tokenizer_ref: str) -> Rewarder:
    """The checkpoint that `ref` names, in ImageReward's own names as .safetensors.

    Raises
    ------
    ModelUnusable : it cannot be loaded, is none, or has no tokenizer.
    """
    from imgtool_score.clip import folder_of

    model = runtime.model(ref, TASK)
    where = str(runtime.torch_device), str(runtime.torch_dtype)
    key = ("imagereward", model.digest, tokenizer_ref, *where)

    def load() -> Rewarder:
        from safetensors.torch import load_file

        file = model.path if model.path.is_file() else _only_file(model.path)
        with loading(ref, "transformers"):
            vision, text = towers(load_file(file))
            weight, bias = fold(layers(load_file(file), "mlp.layers."))
            folder = folder_of(runtime, tokenizer_ref) if tokenizer_ref else file.parent
            tokenizer = load_tokenizer(folder, ref)
        vision, text = (
            net.to(runtime.torch_device, runtime.torch_dtype).eval() for net in (vision, text)
        )
        return Rewarder(
            vision,
            text,
            weight,
            bias,
            tokenizer,
            Preprocess.of_size(int(vision.config.image_size)),
            model.digest,
            runtime.torch_device,
        )

    return runtime.load_once(key, load)


def _only_file(folder: Path) -> Path:
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        raise ModelUnusable(f"{str(folder)!r} holds {len(found)} .safetensors files, not one")
    return found[0]


def towers(weights: Mapping[str, Tensor]) -> tuple[Any, Any]:
    """BlipVisionModel and BlipTextModel with the weights of a checkpoint.

    Raises
    ------
    ValueError, KeyError, RuntimeError : weights are missing or do not fit.
    """
    from transformers.models.blip.configuration_blip import BlipTextConfig, BlipVisionConfig
    from transformers.models.blip.modeling_blip import BlipVisionModel
    from transformers.models.blip.modeling_blip_text import BlipTextModel

    seen, read = (
        {n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)}
        for prefix in ("blip.visual_encoder.", "blip.text_encoder.")
    )
    vision = BlipVisionModel(BlipVisionConfig(**_vision_shape(seen)))
    text = BlipTextModel(BlipTextConfig(**_text_shape(read)), add_pooling_layer=False)
    _fill(vision, {_vision_name(name): tensor for name, tensor in seen.items()})
    _fill(text, read)
    return vision, text


def _fill(net: Any, weights: Mapping[str, Tensor]) -> None:
    found = net.load_state_dict(weights, strict=False)
    lacking = [name for name in found.missing_keys if not name.endswith("position_ids")]
    odd = [name for name in found.unexpected_keys if not name.endswith("position_ids")]
    if lacking or odd:
        raise ValueError(f"{(lacking or odd)[0]!r} does not fit an ImageReward checkpoint")


def _vision_name(name: str) -> str:
    match = BLOCK.fullmatch(name)
    if match:
        return f"encoder.layers.{match[1]}.{LAYERS.get(match[2], match[2])}.{match[3]}"
    return VISION.get(name, name)


def _vision_shape(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    patch, places = weights["patch_embed.proj.weight"], weights["pos_embed"]
    width, edge = int(patch.shape[0]), int(patch.shape[-1])
    return {
        "hidden_size": width,
        "intermediate_size": int(weights["blocks.0.mlp.fc1.weight"].shape[0]),
        "num_hidden_layers": _depth(weights, "blocks."),
        "num_attention_heads": max(1, width // HEAD_WIDTH),
        "patch_size": edge,
        "image_size": edge * round((int(places.shape[1]) - 1) ** 0.5),
        "layer_norm_eps": 1e-6,
        "hidden_act": "gelu",
    }


def _text_shape(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    words = weights["embeddings.word_embeddings.weight"]
    width = int(words.shape[1])
    inner = weights["encoder.layer.0.intermediate.dense.weight"]
    return {
        "vocab_size": int(words.shape[0]),
        "hidden_size": width,
        "encoder_hidden_size": int(
            weights["encoder.layer.0.crossattention.self.key.weight"].shape[1]
        ),
        "intermediate_size": int(inner.shape[0]),
        "num_hidden_layers": _depth(weights, "encoder.layer."),
        "num_attention_heads": max(1, width // HEAD_WIDTH),
        "max_position_embeddings": int(weights["embeddings.position_embeddings.weight"].shape[0]),
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "is_decoder": True,
    }


def _depth(weights: Mapping[str, Tensor], prefix: str) -> int:
    found = re.compile(rf"{re.escape(prefix)}(\d+)\.")
    return 1 + max(int(m[1]) for name in weights if (m := found.match(name)))
