"""Words of a list that a causal language model would go on with, appended to a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool_rewrite.continuing.vocabulary import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from imgtool_rewrite.continuing.loading import LanguageModel

ENDS = (",", ".", "!", "?", ";", ":")


@dataclass(frozen=True)
class Expansion:
    """How far and how boldly to go on.

    Attributes
    ----------
    fill : prompt and words together fill a multiple of so many tokens.
    most : words at most; 0: as many as fit.
    top_k : likeliest tokens of those allowed that one is drawn from.
    temperature : above 1 bolder, below 1 safer, > 0.
    """

    fill: int = 75
    most: int = 0
    top_k: int = 100
    temperature: float = 1.0


class Expander:
    """A language model and a list of words as its tokenizer writes them.

    Attributes
    ----------
    paths : word to its tokens after another word; words that its tokenizer joins are left out.
    """

    def __init__(self, llm: LanguageModel, words: Sequence[str]) -> None:
        self.llm = llm
        self.paths = {word: path for word in words if (path := self._after("a", f" {word}"))}
        self.comma = self._after("a", ",")

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.llm.tokenizer(text, add_special_tokens=False).input_ids)

    def _after(self, text: str, more: str) -> tuple[int, ...]:
        """Tokens of `more` after `text`; none where they merge."""
        before, both = self._ids(text), self._ids(text + more)
        return both[len(before) :] if both[: len(before)] == before else ()

    def expand(self, prompt: str, expansion: Expansion, random: torch.Generator) -> str:
        """`prompt` with words after it, drawn by `random`; the prompt itself where none fit."""
        start = prompt.rstrip()
        ended = start.endswith(ENDS)
        ids = self._ids(start if ended else f"{start},")
        room = self._room(len(ids), expansion.fill)
        if not start or room <= 0 or not self.comma:
            return prompt
        said = start.casefold()
        left = [path for word, path in self.paths.items() if word.casefold() not in said]
        writer = Writer(left, self.comma)
        self._write(writer, ids, room, expansion, random)
        more = self.llm.tokenizer.decode(writer.tokens[: writer.whole]).strip()
        if not more:
            return prompt
        return f"{start}{' ' if ended else ', '}{more}"

    def _room(self, there: int, fill: int) -> int:
        """Tokens to write: up to the next multiple of `fill`, and what the model reads."""
        room = fill - there % fill
        return min(room, self.llm.limit - 1) if self.llm.limit else room

    def _write(
        self,
        writer: Writer,
        ids: Sequence[int],
        room: int,
        expansion: Expansion,
        random: torch.Generator,
    ) -> None:
        """Draw tokens until there is no room, no word left, or enough words."""
        import torch

        model = self.llm.model
        # What the model cannot read with the words is the beginning of a long prompt.
        kept = ids[-(self.llm.limit - room) :] if self.llm.limit else ids
        given = torch.tensor([kept], device=model.device)
        past: Any = None
        with torch.inference_mode():
            for _ in range(room):
                allowed = writer.allowed()
                if not allowed or (expansion.most and writer.words == expansion.most):
                    return
                done = model(input_ids=given, past_key_values=past, use_cache=True)
                past = done.past_key_values
                token = drawn(done.logits[0, -1].float().cpu(), allowed, expansion, random)
                writer.write(token)
                given = given.new_tensor([[token]])


def drawn(
    logits: Tensor, allowed: Sequence[int], expansion: Expansion, random: torch.Generator
) -> int:
    """One of `allowed`, of the likeliest `top_k` by their softmax.

    Parameters
    ----------
    logits : [V] float32, on the CPU.
    """
    import torch

    choices = torch.tensor(sorted(allowed))
    scores, order = logits[choices].topk(min(expansion.top_k, len(choices)))
    chances = (scores / expansion.temperature).softmax(0)
    return int(choices[order[torch.multinomial(chances, 1, generator=random)]])
