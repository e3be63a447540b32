"""What to ask of a picture so that the answer can stand for it, and whether the answer can.

The request never holds the prompt: a model that knows what was wanted says that it is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgtool.api import BadParams, derive_seed
from imgtool_score.seeing import Ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from imgtool_score.seeing import Seer

REQUEST = (
    "Describe this picture in one English paragraph of {low} to {high} words. Name everything "
    "that can be seen: the things and how many of each, their colours, materials and sizes, where "
    "they are and what they do, the background, the light, the style, and any writing. Write "
    "nothing that cannot be seen."
)
FEWEST, MOST = 20, 350
REFUSAL = re.compile(
    r"^(i['’]?m sorry|sorry|i (can ?not|can['’]t|am unable|am not able)|as an ai)", re.IGNORECASE
)
REPEATED = 0.5


@dataclass(frozen=True)
class Described:
    """A description, or why there is none, and notes for the row's record."""

    text: str
    why_not: str = ""
    notes: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """How descriptions are asked for.

    Attributes
    ----------
    words : `A-B`; empty: about as many as the prompt has.
    text : instead of the usual request; `{low}` and `{high}` stand for the counts of words.
    most_tokens : the model stops after so many.
    """

    words: str = ""
    text: str = ""
    most_tokens: int = 512

    def of(self, prompt: str, takes_requests: bool) -> str:
        """The request for a prompt of this length; empty for a model that only captions."""
        if not self.text and not takes_requests:
            return ""
        low, high = self.bounds(prompt)
        text = self.text or REQUEST
        return text.replace("{low}", str(low)).replace("{high}", str(high))

    def bounds(self, prompt: str) -> tuple[int, int]:
        """Fewest and most words asked for.

        Raises
        ------
        BadParams : `words` is no range.
        """
        if self.words:
            return word_range(self.words)
        count = len(prompt.split())
        low, high = (min(max(round(count * f), FEWEST), MOST) for f in (0.8, 1.2))
        return low, high


def word_range(text: str) -> tuple[int, int]:
    """`250-350` as two numbers.

    Raises
    ------
    BadParams : it is no rising range.
    """
    found = re.fullmatch(r"(\d+)-(\d+)", text)
    if not found or not 0 < int(found[1]) <= int(found[2]):
        raise BadParams(f"words {text!r} is no range of words", "Such as 250-350")
    return int(found[1]), int(found[2])


def describe(
    seer: Seer, images: Sequence[np.ndarray], prompts: Sequence[str], request: Request
) -> list[Described]:
    """A description of each picture; one that fails is asked for once more, with a seed."""
    texts = [request.of(prompt, seer.takes_requests) for prompt in prompts]
    asks = [
        Ask(image, text, request.most_tokens) for image, text in zip(images, texts, strict=True)
    ]
    answers = seer.say(asks)
    faults = [fault_of(answer) for answer in answers]
    again = [index for index, fault in enumerate(faults) if fault]
    if again:
        second = seer.say(
            [
                Ask(asks[i].image, asks[i].text, request.most_tokens, derive_seed(asks[i].key))
                for i in again
            ]
        )
        for index, answer in zip(again, second, strict=True):
            answers[index], faults[index] = answer, fault_of(answer)
    return [
        Described("", f"the description {fault}")
        if fault
        else Described(answer, "", _notes(answer, again=index in again))
        for index, (answer, fault) in enumerate(zip(answers, faults, strict=True))
    ]


def _notes(answer: str, again: bool) -> dict[str, object]:
    notes: dict[str, object] = {"description": answer}
    if again:
        notes["asked"] = 2
    # Writing in a picture can try to talk to whoever judges it.
    if re.search(r"\bscore\b", answer, re.IGNORECASE):
        notes["suspicious"] = "the description speaks of a score"
    return notes


def fault_of(answer: str) -> str:
    """Why an answer is no description; empty: it is one."""
    words = answer.lower().split()
    if not words:
        return "is empty"
    if REFUSAL.match(answer):
        return "is a refusal"
    grams = [tuple(words[at : at + 4]) for at in range(len(words) - 3)]
    if grams and 1 - len(set(grams)) / len(grams) > REPEATED:
        return "repeats itself"
    return ""
