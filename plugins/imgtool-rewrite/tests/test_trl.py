"""GRPO by TRL itself, where it is installed: the extra `train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import torch

from imgtool.api import Batch
from imgtool_rewrite.shortcot.choosing import Asking
from imgtool_rewrite.shortcot.judging import Seen
from imgtool_rewrite.shortcot.rewards import Penalty
from imgtool_rewrite.training import grpo
from imgtool_rewrite.training.reward import Rewards, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imgtool.api import Row

# Sixty updates take many minutes of a core that is shared.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore"),
]
PAYS, WORDS = "red", [f"word{at}" for at in range(11)]
MOST = 24
LENGTH = "completions/mean_length"


@dataclass
class Hits:
    """Scores 1 where the plan says what pays, without pictures."""

    shares: list[float] = field(default_factory=list)

    def look(self, row: Row, prompts: Sequence[str]) -> list[Seen]:
        scores = [float(PAYS in prompt.split()) for prompt in prompts]
        self.shares += scores
        return [Seen(None, score, 0.0, 1.0) for score in scores]


def a_writer(folder: Path) -> grpo.Writer:
    """A random language model of two layers whose words are `WORDS` and what pays."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from imgtool_score.tiny import word_tokenizer

    tokenizer = word_tokenizer([PAYS, *WORDS])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return grpo.loaded(folder, "llm")


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def test_plans_get_shorter_and_keep_what_pays(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="the extra `train` of imgtool-rewrite brings trl")
    rows = list(Batch(("0", "1"), {"prompt": ["a", "the"], "seed": [1, 1]}))
    asking = Asking(most_tokens=MOST, penalty=Penalty(0.5, MOST, "linear", gate=0.5))
    hits = Hits()
    rewards = Rewards(hits, rows, asking, Watch(0.0))  # type: ignore[arg-type]
    settings = grpo.Settings(60, 8, 2, 5e-3, most_tokens=MOST)
    writer = a_writer(tmp_path / "llm")
    log = grpo.train(writer, rewards, settings, tmp_path / "journal", on_cpu=True)
    lengths = [line[LENGTH] for line in log]
    assert mean(lengths[-10:]) <= 0.7 * mean(lengths[:10])
    assert mean(hits.shares[-160:]) >= 0.95 * mean(hits.shares[:160])
    writer.save(tmp_path / "made")
    assert (tmp_path / "made" / "model.safetensors").is_file()
