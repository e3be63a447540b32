"""Places in a prompt: its sentences, the words that an error is blamed on, and new ones there."""

from __future__ import annotations

import difflib
import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SENTENCE = re.compile(r"[^.!?;\n。！？；]+[.!?;。！？；]*")
CONTENT = re.compile(r"[^\W_]{4,}")
LISTING = re.compile(r"^\s*(?:[-*•]+|#+|\(?\d+[.):]|\(?[a-zA-Z][.)])\s+")
ALIKE = 0.6
MOST_STATEMENTS = 12
MOST_LOST = 0.3


def sentences(prompt: str) -> list[str]:
    """The sentences of a prompt, as they stand in it."""
    found = [match[0].strip() for match in SENTENCE.finditer(prompt)]
    return [sentence for sentence in found if sentence]


def statements(lines: Sequence[str]) -> list[str]:
    """Statements without bullets, numbers and headings, the shortest neighbours joined to twelve.

    Equal ones are one.
    """
    plain = (LISTING.sub("", line).strip() for line in lines)
    found = list(dict.fromkeys(line for line in plain if line and not line.endswith(":")))
    while len(found) > MOST_STATEMENTS:
        lengths = [len(one) + len(two) for one, two in itertools.pairwise(found)]
        at = lengths.index(min(lengths))
        found[at : at + 2] = [f"{found[at]} {found[at + 1]}"]
    return found


def left_out(lines: Sequence[str], prompt: str) -> list[str]:
    """Long words of a prompt that statements lose, where they are more than may be lost."""
    wanted = dict.fromkeys(CONTENT.findall(prompt.casefold()))
    kept = set(CONTENT.findall(" ".join(lines).casefold()))
    lost = [word for word in wanted if word not in kept]
    return lost if len(lost) > MOST_LOST * len(wanted) else []


def place(prompt: str, span: str) -> str:
    """The words of `prompt` that `span` means; empty where none do.

    The span itself, whatever its spaces and capitals; else the sentence that is most like it.
    """
    words = span.split()
    if not words:
        return ""
    pattern = r"\s+".join(map(re.escape, words))
    if match := re.search(pattern, prompt, re.IGNORECASE):
        return match[0]
    ratios = {
        sentence: difflib.SequenceMatcher(None, sentence.casefold(), span.casefold()).ratio()
        for sentence in sentences(prompt)
    }
    nearest = max(ratios, key=lambda sentence: ratios[sentence], default="")
    return nearest if ratios.get(nearest, 0.0) >= ALIKE else ""


def replaced(prompt: str, span: str, sentence: str) -> str:
    """`prompt` with `sentence` in place of the first `span`."""
    return prompt.replace(span, sentence, 1)
