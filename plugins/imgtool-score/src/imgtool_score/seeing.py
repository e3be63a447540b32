"""Models that look at a picture and answer: of transformers, or behind an endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from imgtool.api import ModelUnusable, loading
from imgtool_score.causal import continued
from imgtool_score.endpoint import Endpoint
from imgtool_score.noting import note, picture_mark, recall
from imgtool_score.remote import RemoteChat

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from imgtool.api import Runtime

TASK = "image-text-to-text"
YES = ("yes", " yes", "Yes", " Yes", "YES", " YES")
NO = ("no", " no", "No", " No", "NO", " NO")


@dataclass(frozen=True)
class Ask:
    """One picture, [H, W, 3] uint8, and what is asked of it; a seed draws another answer."""

    image: np.ndarray
    text: str
    most_tokens: int = 512
    seed: int | None = None

    @property
    def key(self) -> str:
        """Equal for equal questions about equal pictures."""
        return json.dumps([picture_mark(self.image), self.text, self.most_tokens, self.seed])


@dataclass(frozen=True)
class Chance:
    """Probability of answers that mean yes and of those that mean no."""

    yes: float
    no: float

    @property
    def share(self) -> float:
        """Of yes among both; 0 where neither is likely at all."""
        both = self.yes + self.no
        return self.yes / both if both > 0 else 0.0


class Seer(Protocol):
    """What looks and answers.

    Attributes
    ----------
    digest : tells one model from another.
    takes_requests : whether it was made to be asked anything; else it captions.
    """

    @property
    def digest(self) -> str:
        """Tells one model from another."""

    @property
    def takes_requests(self) -> bool:
        """Whether it was made to be asked anything; else it captions when asked nothing."""

    def say(self, asks: Sequence[Ask]) -> list[str]:
        """An answer to each."""

    def chances(self, asks: Sequence[Ask]) -> list[Chance]:
        """How likely each answer begins with yes, and with no."""


@dataclass(frozen=True)
class Remote:
    """A model behind an endpoint."""

    chat: RemoteChat
    takes_requests: bool = True

    @property
    def digest(self) -> str:
        """As that of the service."""
        return self.chat.digest

    def say(self, asks: Sequence[Ask]) -> list[str]:
        """An answer to each. Errors as `Endpoint.answer`."""
        return self.chat.each(
            lambda ask: self.chat.say(
                ask.text, most_tokens=ask.most_tokens, seed=ask.seed, image=ask.image
            ),
            asks,
        )

    def chances(self, asks: Sequence[Ask]) -> list[Chance]:
        """From the log-probabilities of the first token. Errors as `Endpoint.chances`."""
        return self.chat.each(self._chance, asks)

    def _chance(self, ask: Ask) -> Chance:
        found = self.chat.chances(ask.text, ask.image)
        yes, no = (
            sum(p for token, p in found.items() if token.strip().lower() == word)
            for word in ("yes", "no")
        )
        return Chance(yes, no)


@dataclass
class Local:
    """A model of transformers, loaded."""

    model: Any
    processor: Any
    digest: str
    runtime: Runtime
    captions: bool = False

    @property
    def takes_requests(self) -> bool:
        """Whether it has a chat template, and no word of its makers that it captions unasked."""
        return self._chats and not self.captions

    @property
    def _chats(self) -> bool:
        return bool(getattr(self.processor, "chat_template", None))

    @property
    def _tokenizer(self) -> Any:
        return self.processor.tokenizer

    def say(self, asks: Sequence[Ask]) -> list[str]:
        """An answer to each, greedily where no seed is given; noted in the journal."""
        keys = [f"say:{self.digest}:{ask.key}" for ask in asks]
        return self._grouped(asks, keys, self._generate)

    def chances(self, asks: Sequence[Ask]) -> list[Chance]:
        """From the softmax of the next token, over all spellings of yes and no.

        Raises
        ------
        ModelUnusable : no spelling is one token of the model.
        """
        keys = [f"chances:{self.digest}:{ask.key}" for ask in asks]
        return [Chance(*pair) for pair in self._grouped(asks, keys, self._next)]

    def _grouped(self, asks: Sequence[Ask], keys: Sequence[str], compute: Any) -> list[Any]:
        # Inputs of one shape go together: nothing is padded, so neighbours change nothing.
        inputs = [self._inputs(ask) for ask in asks]
        groups: dict[object, list[int]] = {}
        for index, (ask, item) in enumerate(zip(asks, inputs, strict=True)):
            shapes = tuple((name, tuple(t.shape)) for name, t in sorted(item.items()))
            groups.setdefault((shapes, ask.most_tokens, ask.seed), []).append(index)

        def answers(part: Sequence[int]) -> Sequence[Any]:
            values: Sequence[Any] = compute([inputs[i] for i in part], asks[part[0]])
            for index, value in zip(part, values, strict=True):
                note(self.runtime, keys[index], value)
            return values

        found = {index: recall(self.runtime, key) for index, key in enumerate(keys)}
        for members in groups.values():
            waiting = [index for index in members if found[index] is None]
            if waiting:
                found |= zip(waiting, self.runtime.halving(answers, waiting), strict=True)
        return [found[index] for index in range(len(asks))]

    def _inputs(self, ask: Ask) -> dict[str, Tensor]:
        from PIL import Image

        picture = Image.fromarray(ask.image)
        text: str | None = ask.text or None
        if self._chats:
            content = [{"type": "image"}, {"type": "text", "text": ask.text}]
            text = self.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
        given = {"images": [picture]} if text is None else {"images": [picture], "text": [text]}
        return dict(self.processor(**given, return_tensors="pt"))

    def _joined(self, items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        import torch

        device, dtype = self.runtime.torch_device, self.model.dtype
        joined = {name: torch.cat([item[name] for item in items]) for name in items[0]}
        return {
            name: t.to(device, dtype) if t.is_floating_point() else t.to(device)
            for name, t in joined.items()
        }

    def _generate(self, items: Sequence[dict[str, Tensor]], ask: Ask) -> list[str]:
        import torch

        given = self._joined(items)
        made = continued(self.model, given, ask.most_tokens, ask.seed)
        ids = given.get("input_ids")
        if ids is not None and made.shape[1] >= ids.shape[1]:
            head = made[:, : ids.shape[1]]
            # Models of one text stream repeat the question before they answer.
            made = made[:, ids.shape[1] :] if torch.equal(head, ids) else made
        texts = self._tokenizer.batch_decode(made, skip_special_tokens=True)
        return [str(text).strip() for text in texts]

    def _next(self, items: Sequence[dict[str, Tensor]], ask: Ask) -> list[list[float]]:
        import torch

        with torch.inference_mode():
            logits = self._logits(self._joined(items))
        p = logits.float().softmax(-1)
        yes, no = (p[:, self._ids(words)].sum(-1) for words in (YES, NO))
        return torch.stack([yes, no], -1).tolist()  # type: ignore[no-any-return]

    def _logits(self, given: dict[str, Tensor]) -> Tensor:
        """[B, words] of the answer's first token."""
        import torch

        net = self.model
        if type(net).__name__ != "BlipForQuestionAnswering":
            return net(**given).logits[:, -1]
        seen = net.vision_model(pixel_values=given["pixel_values"]).last_hidden_state
        read = net.text_encoder(
            input_ids=given["input_ids"],
            attention_mask=given["attention_mask"],
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], device=seen.device),
        ).last_hidden_state
        start = torch.full((len(read), 1), net.decoder_start_token_id, device=read.device)
        said = net.text_decoder(
            input_ids=start,
            encoder_hidden_states=read,
            encoder_attention_mask=given["attention_mask"],
        )
        return said.logits[:, -1]

    def _ids(self, words: Sequence[str]) -> list[int]:
        every = [self._tokenizer(word, add_special_tokens=False).input_ids for word in words]
        unknown = self._tokenizer.unk_token_id
        found = sorted({ids[0] for ids in every if len(ids) == 1 and ids[0] != unknown})
        if not found:
            raise ModelUnusable(f"no spelling of {words[0]!r} is one token of the model")
        return found


def load_seer(runtime: Runtime, ref: str, endpoint: str, served: str) -> Seer:
    """The endpoint where one is named, else the model that `ref` names, shared.

    Raises
    ------
    ModelUnusable, NeedsConsent : the model cannot be loaded, or is not here.
    BadParams : the endpoint is no address.
    """
    if endpoint:
        return Remote(RemoteChat(Endpoint(endpoint, served), runtime))
    model = runtime.model(ref, TASK)
    key = ("seer", model.digest, str(runtime.torch_device), str(runtime.torch_dtype))

    def load() -> tuple[Any, Any]:
        with loading(ref, "transformers"):
            from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

            settings = {"local_files_only": True, "trust_remote_code": False}
            processor = AutoProcessor.from_pretrained(model.path, **settings)
            kinds = AutoConfig.from_pretrained(model.path, **settings).architectures or [""]
            loader: Any = AutoModelForImageTextToText
            if kinds[0] == "BlipForQuestionAnswering":
                from transformers import BlipForQuestionAnswering

                loader = BlipForQuestionAnswering
                settings.pop("trust_remote_code")
            net = loader.from_pretrained(
                model.path, dtype=runtime.torch_dtype, use_safetensors=True, **settings
            )
        return net.to(runtime.torch_device).eval(), processor

    net, processor = runtime.load_once(key, load)
    captions = bool(model.advice.get("captions"))
    return Local(net, processor, model.digest, runtime, captions)
