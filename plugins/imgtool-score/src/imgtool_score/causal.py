"""Causal language models of transformers: loaded once, asked in the form they were made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.api import loading
from imgtool_score.clip import digest_of, folder_of, load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from imgtool.api import Runtime

TASK = "text-generation"


@dataclass
class Causal:
    """A model, loaded.

    Attributes
    ----------
    digest : of its weights.
    """

    model: Any
    tokenizer: Any
    digest: str

    @property
    def limit(self) -> int:
        """Tokens of question and answer together; 0: the model does not say."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 0)

    def ids(self, text: str, system: str = "") -> Tensor:
        """[1, T] tokens of a question, through the model's chat template where it has one.

        A template that knows no system message gets it before the question.
        """
        template = getattr(self.tokenizer, "chat_template", None)
        messages = [{"role": "user", "content": text}]
        if system and template and "system" in str(template):
            messages.insert(0, {"role": "system", "content": system})
        elif system:
            text = f"{system}\n\n{text}"
            messages = [{"role": "user", "content": text}]
        if template:
            text = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
            return self._tokens(text, add_special_tokens=False)
        return self._tokens(f"{text}\n")

    def _tokens(self, text: str, **settings: Any) -> Tensor:
        found: Tensor = self.tokenizer(text, return_tensors="pt", **settings).input_ids
        return found


def continued(
    model: Any, given: Mapping[str, Tensor], most_tokens: int, seed: int | None
) -> Tensor:
    """[B, T] tokens that `model` makes of `given`: the likeliest ones, or drawn by `seed`.

    Models of one text stream repeat the question first.
    """
    import torch

    drawn = {"do_sample": False} if seed is None else {"do_sample": True, "top_k": 50}
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(seed or 0)
        made: Tensor = model.generate(**given, max_new_tokens=most_tokens, num_beams=1, **drawn)
    return made


def load_causal(runtime: Runtime, ref: str, tokenizer_ref: str = "") -> Causal:
    """The language model that `ref` names, shared with every stage that uses it.

    Parameters
    ----------
    tokenizer_ref : folder or model with the tokenizer, where the model brings none.

    Raises
    ------
    ModelUnusable, NeedsConsent : it cannot be loaded, or is not here.
    """
    model = runtime.model(ref, TASK)
    key = (
        "causal",
        model.digest,
        tokenizer_ref,
        str(runtime.torch_device),
        str(runtime.torch_dtype),
    )

    def load() -> Causal:
        with loading(ref, "transformers"):
            from transformers import AutoModelForCausalLM

            settings = {"local_files_only": True, "trust_remote_code": False}
            source = folder_of(runtime, tokenizer_ref) if tokenizer_ref else model.path
            tokenizer = load_tokenizer(source, ref)
            net = AutoModelForCausalLM.from_pretrained(
                model.path, dtype=runtime.torch_dtype, use_safetensors=True, **settings
            )
        digest = f"{model.digest}+{digest_of(source)}" if tokenizer_ref else model.digest
        return Causal(net.to(runtime.torch_device).eval(), tokenizer, digest)

    return runtime.load_once(key, load)
