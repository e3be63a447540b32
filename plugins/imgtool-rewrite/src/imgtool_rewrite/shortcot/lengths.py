"""How long a plan is, and cutting it to a length from its end: CapLength."""

from __future__ import annotations

import bisect
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Scripts that put no space between words count by signs.
UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af"
WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+(?:['’.-][^\W_{UNSPACED}]+)*")
SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|\Z)|[。！？]+")


def words_of(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return [word.casefold() for word in WORD.findall(text)]


def word_count(text: str) -> int:
    """How many words a text has."""
    return len(WORD.findall(text))


def token_counter(folder: Path) -> Callable[[str], int]:
    """What counts tokens as the model in `folder` does, its marks left out."""
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return lambda text: len(words(text, add_special_tokens=False).input_ids)


def cut(text: str, most: int, count: Callable[[str], int] = word_count) -> str:
    """The beginning of `text` that `count` finds no longer than `most`; nothing is added.

    It ends with a sentence where one ends in time, else with a word.
    """
    if count(text) <= most:
        return text
    for end in (SENTENCE_END, WORD):
        ends = [match.end() for match in end.finditer(text)]
        fitting = bisect.bisect_right(ends, most, key=lambda at: count(text[:at]))
        if fitting:
            return text[: ends[fitting - 1]]
    return ""
