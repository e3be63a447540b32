"""The causal language models that continue prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.api import Runtime


class LanguageModel(Protocol):
    """What the component `transformers` of the kind `language-model` makes."""

    @property
    def model(self) -> Any:
        """The net of transformers."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""

    @property
    def limit(self) -> int:
        """Tokens that it reads; 0: it does not say."""


def load_model(runtime: Runtime, ref: str, tokenizer: str = "") -> LanguageModel:
    """The language model that `ref` names.

    Raises
    ------
    ModelUnusable, NeedsConsent : it cannot be loaded, or is not here.
    UnknownComponent : imgtool-score, which loads it, is not installed.
    """
    load: Any = runtime.component("language-model", "transformers")
    found: LanguageModel = load(runtime, ref, tokenizer)
    return found


def save_tiny(folder: Path) -> Path:
    """A random GPT-2 of one layer with a token a byte, for `imgtool plugin check` and tests."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    from transformers.utils.logging import disable_progress_bar

    end = "<|endoftext|>"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: index for index, letter in enumerate([*letters, end])}
    core = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    words = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=end, eos_token=end)
    words.save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(vocab), n_positions=256, n_embd=16, n_layer=1, n_head=2,
        initializer_range=0.5, bos_token_id=vocab[end], eos_token_id=vocab[end],
    )  # fmt: skip
    disable_progress_bar()
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder
