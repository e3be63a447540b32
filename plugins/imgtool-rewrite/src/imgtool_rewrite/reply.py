"""Reads the JSON object that a language model was asked for out of what it says."""

from __future__ import annotations

import json
import re
from typing import Any

FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
TRAILING = re.compile(r",(\s*[}\]])")
MOST_LETTERS = 100_000


def read_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in `text`, or None.

    It may stand in a code fence, among words or in a list of one; a comma after the last entry is
    forgiven.
    """
    text = text[:MOST_LETTERS]
    fenced = FENCE.search(text)
    for candidate in (fenced[1] if fenced else text, text):
        start = candidate.find("{")
        if start < 0:
            continue
        for form in (candidate[start:], _without_trailing_commas(candidate[start:])):
            try:
                value, _ = json.JSONDecoder().raw_decode(form)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                return value
    return None


def _without_trailing_commas(text: str) -> str:
    """The text without commas before a closing bracket, those in strings left alone."""
    parts = re.split(r'("(?:[^"\\]|\\.)*")', text)
    return "".join(part if at % 2 else TRAILING.sub(r"\1", part) for at, part in enumerate(parts))
