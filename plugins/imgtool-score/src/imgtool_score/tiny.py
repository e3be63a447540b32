"""Random nets of a few thousand weights in the formats that scorers are published in.

`imgtool plugin check` and tests try stages on them. What they score means nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from imgtool.api import quiet_libraries
from imgtool_score.head import INDICES
from imgtool_score.perceptual import VGG

if TYPE_CHECKING:
    from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
WORDS = (
    "yes Yes no is there a red blue cube cubes cone cones two on table the picture show ?".split()
)
MARKS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}


def byte_tokenizer(folder: Path, limit: int) -> int:
    """Write a tokenizer with one token a byte; the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: index for index, letter in enumerate([*letters, START, END])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, vocab[START]), (END, vocab[END])]
    )
    marks = {"bos_token": START, "eos_token": END, "pad_token": END}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=limit, **marks
    ).save_pretrained(folder)
    return len(vocab)


def word_tokenizer(words: list[str]) -> Any:
    """A tokenizer of whole words, with BERT's marks."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocab = {word: index for index, word in enumerate([*MARKS.values(), *words])}
    core = Tokenizer(models.WordLevel(vocab, unk_token=MARKS["unk_token"]))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    ends = {"bos_token": MARKS["cls_token"], "eos_token": MARKS["sep_token"]}
    return PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=512, **MARKS, **ends)


def save(net: Any, folder: Path) -> None:
    """Write a net of transformers, without its progress bar."""
    quiet_libraries("transformers")
    net.save_pretrained(folder)


def save_clip(folder: Path, seed: int = 0, limit: int = 77) -> Path:
    """CLIPModel: two layers of width 32, vectors of length 16, pictures of 32 pixels."""
    from transformers import CLIPConfig, CLIPModel

    words = byte_tokenizer(folder, limit)
    torch.manual_seed(seed)
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 16,
        "initializer_range": 0.5,
    }
    config = CLIPConfig(
        projection_dim=16,
        text_config={
            **tower,
            "vocab_size": words,
            "max_position_embeddings": limit,
            "bos_token_id": words - 2,
            "eos_token_id": words - 1,
            "pad_token_id": words - 1,
        },
        vision_config={**tower, "image_size": 32, "patch_size": 8},
    )
    net = CLIPModel(config)
    save(net, folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "size": {"shortest_edge": 32},
                "crop_size": {"height": 32, "width": 32},
                "do_center_crop": True,
                "image_mean": MEAN,
                "image_std": STD,
                "resample": 3,
            }
        )
    )
    return folder


def save_head(file: Path, width: int, seed: int = 0) -> dict[str, Any]:
    """LAION's aesthetic predictor V2 over vectors of length `width`; its weights."""
    from safetensors.torch import save_file

    weights = head_weights(width, seed, "layers.")
    save_file(weights, file)
    return weights


def head_weights(width: int, seed: int, prefix: str) -> dict[str, Any]:
    """The five linear layers of such a head."""
    generator = torch.Generator().manual_seed(seed)
    widths, weights = (width, 1024, 128, 64, 16, 1), {}
    for index, inside, outside in zip(INDICES, widths[:-1], widths[1:], strict=True):
        weight = torch.randn(outside, inside, generator=generator) / inside**0.5
        weights[f"{prefix}{index}.weight"] = weight
        weights[f"{prefix}{index}.bias"] = torch.randn(outside, generator=generator)
    return weights


def save_llm(folder: Path, seed: int = 0) -> Path:
    """A LlamaForCausalLM of two layers that reads bytes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    words = byte_tokenizer(folder, 4096)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=words,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.3,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
    )
    save(LlamaForCausalLM(config), folder)
    return folder


def save_git(folder: Path, seed: int = 0, words: list[str] = WORDS) -> Path:
    """GitForCausalLM: a caption model of two layers, pictures of 32 pixels."""
    from transformers import CLIPImageProcessor, GitConfig, GitForCausalLM, GitProcessor

    torch.manual_seed(seed)
    tokenizer = word_tokenizer(words)
    config = GitConfig(
        vision_config={**TOWER, "num_hidden_layers": 2, "image_size": 32, "patch_size": 8},
        vocab_size=len(tokenizer),
        num_hidden_layers=2,
        max_position_embeddings=128,
        initializer_range=0.3,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
        **TOWER,
    )
    save(GitForCausalLM(config), folder)
    size = {"height": 32, "width": 32}
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size)
    GitProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def save_imagereward(folder: Path, seed: int = 0) -> tuple[Path, Any, Any, dict[str, Any]]:
    """A checkpoint in ImageReward's names; its folder, and the nets and head it comes from."""
    from safetensors.torch import save_file
    from transformers.models.blip.configuration_blip import BlipTextConfig, BlipVisionConfig
    from transformers.models.blip.modeling_blip import BlipVisionModel
    from transformers.models.blip.modeling_blip_text import BlipTextModel

    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    tokenizer = word_tokenizer(WORDS)
    tokenizer.save_pretrained(folder)
    shape = {"hidden_size": 128, "intermediate_size": 96, "num_attention_heads": 2}
    vision = BlipVisionModel(
        BlipVisionConfig(
            **shape, num_hidden_layers=2, image_size=32, patch_size=8, layer_norm_eps=1e-6,
            initializer_range=0.1,
        )
    ).eval()  # fmt: skip
    text = BlipTextModel(
        BlipTextConfig(
            **shape, encoder_hidden_size=128, num_hidden_layers=2, vocab_size=len(tokenizer),
            max_position_embeddings=64, initializer_range=0.1,
        ),
        add_pooling_layer=False,
    ).eval()  # fmt: skip
    head = head_weights(128, seed, "mlp.layers.")
    weights = {**head, **as_published(vision)}
    weights |= {f"blip.text_encoder.{name}": t for name, t in text.state_dict().items()}
    detached = {name: tensor.detach().clone() for name, tensor in weights.items()}
    save_file(detached, folder / "imagereward.safetensors")
    return folder, vision, text, head


def as_published(vision: Any) -> dict[str, Any]:
    """The picture tower under the names of the published checkpoint."""
    start = vision.embeddings
    found = {
        "cls_token": start.class_embedding,
        "pos_embed": start.position_embedding,
        "patch_embed.proj.weight": start.patch_embedding.weight,
        "patch_embed.proj.bias": start.patch_embedding.bias,
        "norm.weight": vision.post_layernorm.weight,
        "norm.bias": vision.post_layernorm.bias,
    }
    for number, layer in enumerate(vision.encoder.layers):
        parts = {
            "norm1": layer.layer_norm1,
            "norm2": layer.layer_norm2,
            "attn.qkv": layer.self_attn.qkv,
            "attn.proj": layer.self_attn.projection,
            "mlp.fc1": layer.mlp.fc1,
            "mlp.fc2": layer.mlp.fc2,
        }
        for name, part in parts.items():
            for kind, value in part.named_parameters():
                found[f"blocks.{number}.{name}.{kind}"] = value
    return {f"blip.visual_encoder.{name}": value for name, value in found.items()}


def save_vgg(folder: Path, seed: int = 0) -> Path:
    """VGG16 of 4 to 8 channels, with the weights of channels that LPIPS and DISTS give it."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    widths, inside, weights = (4, 6, 8, 8, 8), 3, {}
    for number, (stage, width) in enumerate(zip(VGG.stages, widths, strict=True)):
        for index in stage:
            weight = torch.randn(width, inside, 3, 3, generator=generator) / (9 * inside) ** 0.5
            weights[f"features.{index}.weight"] = weight
            weights[f"features.{index}.bias"] = torch.zeros(width)
            inside = width
        weights[f"lin{number}.model.1.weight"] = torch.rand(1, width, 1, 1, generator=generator)
    for name in ("alpha", "beta"):
        weights[name] = torch.rand(1, 3 + sum(widths), 1, 1, generator=generator)
    save_file(weights, folder / "vgg.safetensors")
    return folder
