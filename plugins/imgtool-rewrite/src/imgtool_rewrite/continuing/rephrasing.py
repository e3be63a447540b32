"""Prompts rephrased by a model trained to answer a cue: Promptist, arXiv 2212.09611.

The checkpoint is a GPT-2 that reads the prompt and `Rephrase:` and goes on with a prompt that its
drawing model, Stable Diffusion 1.4, turns into a more pleasing picture. Beams are ranked with a
length penalty of -1, as published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool_rewrite.facts import facts_of
from imgtool_rewrite.spans import protect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgtool_rewrite.continuing.loading import LanguageModel

CUE = " Rephrase:"
LENGTH_PENALTY = -1.0


@dataclass(frozen=True)
class Rephrased:
    """A prompt, or why there is none.

    Attributes
    ----------
    beam : place of the prompt among the beams; 0: the likeliest.
    """

    prompt: str = ""
    beam: int = 0
    why_not: str = ""


def rephrase(llm: LanguageModel, prompt: str, beams: int, most_tokens: int) -> Rephrased:
    """The likeliest rephrasing that keeps quotes, numbers and names of `prompt`.

    The model reads opaque parts without their signs; they are put back letter for letter.
    """
    hidden = protect(prompt)
    text = " ".join(hidden.readable().split())
    if not text:
        return Rephrased(why_not="there is nothing to rephrase")
    facts = facts_of(text)
    why = "it is longer than the model reads"
    for beam, found in enumerate(beams_of(llm, text, beams, most_tokens)):
        lost = facts.lost(found)
        if found and not lost:
            return Rephrased(hidden.put_back(found), beam)
        why = f"no beam keeps {', '.join(map(repr, lost))}" if lost else "every beam is empty"
    return Rephrased(why_not=why)


def beams_of(llm: LanguageModel, text: str, beams: int, most_tokens: int) -> Sequence[str]:
    """What the model goes on with after the cue, the likeliest first; none: it cannot read it."""
    import torch

    ids = llm.tokenizer(text + CUE, return_tensors="pt").input_ids.to(llm.model.device)
    if llm.limit and ids.shape[1] + most_tokens > llm.limit:
        return ()
    end = llm.tokenizer.eos_token_id
    with torch.inference_mode():
        made = llm.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            num_beams=beams,
            num_return_sequences=beams,
            max_new_tokens=most_tokens,
            length_penalty=LENGTH_PENALTY,
            eos_token_id=end,
            pad_token_id=end,
        )
    decoded = llm.tokenizer.batch_decode(made[:, ids.shape[1] :], skip_special_tokens=True)
    return [" ".join(one.split()) for one in decoded]
