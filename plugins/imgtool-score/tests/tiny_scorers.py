"""Pictures, and a net that tests alone need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from imgtool_score.tiny import TOWER, WORDS, word_tokenizer

if TYPE_CHECKING:
    from pathlib import Path


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


def save_blip_vqa(folder: Path, seed: int = 0) -> Path:
    """BlipForQuestionAnswering of one layer each, pictures of 32 pixels."""
    from transformers import (
        BlipConfig,
        BlipForQuestionAnswering,
        BlipImageProcessor,
        BlipProcessor,
    )

    torch.manual_seed(seed)
    tokenizer = word_tokenizer(WORDS)
    config = BlipConfig(
        text_config={
            **TOWER,
            "encoder_hidden_size": 32,
            "num_hidden_layers": 1,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 128,
            "initializer_range": 0.3,
            "bos_token_id": 2,
            "eos_token_id": 3,
            "sep_token_id": 3,
            "pad_token_id": 0,
        },
        vision_config={
            **TOWER,
            "num_hidden_layers": 1,
            "image_size": 32,
            "patch_size": 8,
            "initializer_range": 0.3,
        },
        image_text_hidden_size=16,
    )
    BlipForQuestionAnswering(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    BlipProcessor(BlipImageProcessor(size=size), tokenizer).save_pretrained(folder)
    return folder
