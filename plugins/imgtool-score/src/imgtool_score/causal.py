"""Causal language models of transformers: loaded once, asked in the form they were made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool_score.clip import explained, quiet

if TYPE_CHECKING:
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


def load_causal(runtime: Runtime, ref: str) -> Causal:
    """The language model that `ref` names, shared with every stage that uses it.

    Raises
    ------
    ModelUnusable, NeedsConsent : it cannot be loaded, or is not here.
    """
    model = runtime.model(ref, TASK)
    key = ("causal", model.digest, str(runtime.torch_device), str(runtime.torch_dtype))

    def load() -> Causal:
        quiet()
        with explained(ref):
            from transformers import AutoModelForCausalLM, AutoTokenizer

            settings = {"local_files_only": True, "trust_remote_code": False}
            tokenizer = AutoTokenizer.from_pretrained(model.path, **settings)
            net = AutoModelForCausalLM.from_pretrained(
                model.path, dtype=runtime.torch_dtype, use_safetensors=True, **settings
            )
        return Causal(net.to(runtime.torch_device).eval(), tokenizer, model.digest)

    return runtime.load_once(key, load)
