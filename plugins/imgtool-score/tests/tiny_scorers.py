"""Random nets of a few thousand weights in the formats that scorers are published in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


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
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=limit,
    ).save_pretrained(folder)
    return len(vocab)


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
    net.save_pretrained(folder)
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


def save_head(file: Path, width: int, seed: int = 0, prefix: str = "layers.") -> dict[str, Any]:
    """The five linear layers of LAION's aesthetic predictor V2 over vectors of length `width`."""
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    widths, weights = (width, 1024, 128, 64, 16, 1), {}
    for index, inside, outside in zip((0, 2, 4, 6, 7), widths[:-1], widths[1:], strict=True):
        weight = torch.randn(outside, inside, generator=generator) / inside**0.5
        weights[f"{prefix}{index}.weight"] = weight
        weights[f"{prefix}{index}.bias"] = torch.randn(outside, generator=generator)
    save_file(weights, file)
    return weights


def pictures(count: int, seed: int = 0, size: tuple[int, int] = (40, 48)) -> list[np.ndarray]:
    """[height, width, 3] uint8 of smooth random colours."""
    rng = np.random.default_rng(seed)
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width]
    made = []
    for _ in range(count):
        waves = [
            127.5 + 127.5 * np.sin(rows * a + columns * b + c)
            for a, b, c in rng.uniform(-0.5, 0.5, (3, 3)) * (1, 1, 6)
        ]
        made.append(np.stack(waves, -1).astype(np.uint8))
    return made
