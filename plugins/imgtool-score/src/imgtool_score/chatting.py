"""Language models that other plugins talk to: components of the kind `chat`.

A component is `make(runtime, ref, served)`, and what it makes has

- `digest`: tells one model from another;
- `at_once`: how many calls may run at the same time;
- `say(text, system="", most_tokens=512, seed=None, schema=None, image=None)`: the answer, greedy or
  drawn by `seed`, about `image`, [H, W, 3] uint8, where one is given. It raises EndpointDown where
  nobody answers, ValueError where this one text cannot be answered. Answers are noted in the
  runtime's journal: a kill does not lose what was paid for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool_score.causal import Causal, continued, load_causal
from imgtool_score.endpoint import Endpoint
from imgtool_score.noting import noted
from imgtool_score.remote import RemoteChat
from imgtool_score.seeing import Ask, load_seer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from torch import Tensor

    from imgtool.api import Runtime
    from imgtool_score.seeing import Seer


@dataclass(frozen=True)
class LocalChat:
    """A model of transformers, one call after another."""

    llm: Causal
    runtime: Runtime
    at_once: int = 1

    @property
    def digest(self) -> str:
        """Of the weights."""
        return self.llm.digest

    def say(
        self,
        text: str,
        system: str = "",
        most_tokens: int = 512,
        seed: int | None = None,
        schema: Mapping[str, Any] | None = None,
        image: np.ndarray | None = None,
    ) -> str:
        """The answer; nothing holds it to `schema`.

        Raises
        ------
        ValueError : question and answer are longer than the model reads, or about a picture.
        """
        if image is not None:
            raise ValueError("a language model cannot look at a picture")
        key = json.dumps(["chat", self.digest, system, text, most_tokens, seed])
        return str(
            noted(self.runtime, key, lambda: self._generate(text, system, most_tokens, seed))
        )

    def _generate(self, text: str, system: str, most_tokens: int, seed: int | None) -> str:
        import torch

        ids, limit = self.llm.ids(text, system), self.llm.limit
        if limit and ids.shape[1] + most_tokens > limit:
            raise ValueError(
                f"{ids.shape[1]} tokens asked and {most_tokens} to answer are more than the "
                f"{limit} that the model reads"
            )

        def answers(part: Sequence[Tensor]) -> list[Tensor]:
            (given,) = (one.to(self.runtime.torch_device) for one in part)
            asked = {"input_ids": given, "attention_mask": torch.ones_like(given)}
            made = continued(self.llm.model, asked, most_tokens, seed)
            return [made[0, given.shape[1] :]]

        answer = self.runtime.halving(answers, [ids])[0]
        return str(self.llm.tokenizer.decode(answer, skip_special_tokens=True)).strip()


@dataclass(frozen=True)
class LookingChat:
    """A model of transformers that looks at a picture and answers, one call after another."""

    seer: Seer
    at_once: int = 1

    @property
    def digest(self) -> str:
        """Of the weights."""
        return self.seer.digest

    def say(
        self,
        text: str,
        system: str = "",
        most_tokens: int = 512,
        seed: int | None = None,
        schema: Mapping[str, Any] | None = None,
        image: np.ndarray | None = None,
    ) -> str:
        """The answer; nothing holds it to `schema`.

        Raises
        ------
        ValueError : there is no picture to look at.
        """
        if image is None:
            raise ValueError("a model that looks needs a picture")
        words = f"{system}\n\n{text}" if system else text
        return self.seer.say([Ask(image, words, most_tokens, seed)])[0]


def endpoint(runtime: Runtime, ref: str, served: str) -> RemoteChat:
    """The service at the address `ref`, asked for the model `served`.

    Raises
    ------
    BadParams : it is no address.
    """
    return RemoteChat(Endpoint(ref, served), runtime)


def transformers(runtime: Runtime, ref: str, served: str) -> LocalChat:
    """The model that `ref` names; `served` means nothing to it.

    Raises
    ------
    ModelUnusable, NeedsConsent : it cannot be loaded, or is not here.
    """
    return LocalChat(load_causal(runtime, ref), runtime)


def looking(runtime: Runtime, ref: str, served: str) -> LookingChat:
    """The model that looks which `ref` names; `served` means nothing to it.

    Raises
    ------
    ModelUnusable, NeedsConsent : it cannot be loaded, or is not here.
    """
    return LookingChat(load_seer(runtime, ref, "", ""))
