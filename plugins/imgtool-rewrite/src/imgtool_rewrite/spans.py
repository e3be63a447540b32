"""Parts of a prompt that mean something to a later tool, which rewriting must leave as they are.

Weighted text `(a red cube:1.2)`, also in compel's form `(a red cube)1.2`; tags `<lora:name:0.5>`;
wildcards `__colour__`; templates `{a|b}` and `${name}`. A bracket that is not closed, and round
ones without a weight, are ordinary writing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TAG = re.compile(r"<[A-Za-z]+:[^<>{}|]*>")
WILDCARD = re.compile(r"__([A-Za-z0-9][A-Za-z0-9/_-]*?)__")
WEIGHT_INSIDE = re.compile(r":\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\)\Z")
WEIGHT_AFTER = re.compile(r"\d+(?:\.\d+)?|\++|-+(?![\w-])")
LONGEST_WEIGHT = 32
# A bracket with the weight that belongs to it.
BRACKET = re.compile(r"[({}]|:\s*[+-]?[\d.]+\s*\)|\)(?:\d+(?:\.\d+)?|\++|-+(?![\w-]))?")
OPENERS = {"{": "}", "(": ")"}


@dataclass(frozen=True)
class Protected:
    """A text whose spans are marks.

    Attributes
    ----------
    text : with a mark, such as `⟦1⟧`, in place of each span.
    spans : mark to span, in the order of the text; each mark is once in `text`.
    """

    text: str
    spans: dict[str, str]

    def restore(self, text: str) -> str:
        """`text` with the span in place of every mark."""
        return self._replaced(text, self.spans)

    def without_marks(self, text: str) -> str:
        """`text` with a space in place of every mark."""
        return self._replaced(text, dict.fromkeys(self.spans, " "))

    def readable(self) -> str:
        """The text as a model reads it that knows no signs: weighted words without their weight.

        Tags, wildcards and templates are left out.
        """
        return self._replaced(
            self.text, {mark: _words_in(span) for mark, span in self.spans.items()}
        )

    def put_back(self, text: str) -> str:
        """`text`, made from `readable()`, with every span in it once.

        A span takes the place of its words where they stand in it, and goes to the end else.
        """
        waiting = [(_words_in(span), span) for span in self.spans.values()]

        def span_for(match: re.Match[str]) -> str:
            found = next((pair for pair in waiting if pair[0] == match[0]), None)
            if found is None:
                return match[0]
            waiting.remove(found)
            return found[1]

        words = sorted({words for words, _ in waiting if words}, key=len, reverse=True)
        if words:
            pattern = rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)"
            text = re.sub(pattern, span_for, text)
        return ", ".join([text, *(span for _, span in waiting)])

    def _replaced(self, text: str, by: dict[str, str]) -> str:
        if not by:
            return text
        return re.sub("|".join(map(re.escape, by)), lambda match: by[match[0]], text)

    def lost(self, text: str) -> list[str]:
        """Spans whose mark is not exactly once in `text`."""
        return [span for mark, span in self.spans.items() if text.count(mark) != 1]


def protect(text: str) -> Protected:
    """`text` with its spans behind marks; `restore` of the same text gives it back exactly."""
    found = spans_of(text)
    salt = ""
    while f"⟦{salt}" in text:
        salt += "_"
    spans: dict[str, str] = {}
    parts: list[str] = []
    last = 0
    for number, (start, end) in enumerate(found, start=1):
        mark = f"⟦{salt}{number}⟧"
        spans[mark] = text[start:end]
        parts += [text[last:start], mark]
        last = end
    return Protected("".join([*parts, text[last:]]), spans)


def spans_of(text: str) -> list[tuple[int, int]]:
    """Start and end of each span, outermost ones alone, in order."""
    closed = _closed(text)
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        end = _span_end(text, at, closed)
        if end:
            found.append((at, end))
        at = end or at + 1
    return found


def verbatim_spans(text: str) -> dict[int, int]:
    """Start and end of each tag, wildcard and template: what has no weight to be read."""
    closed = _closed(text)
    found: dict[int, int] = {}
    at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif end := _verbatim_end(text, at, closed):
            found[at] = end
            at = end
        else:
            at += 1
    return found


def _words_in(span: str) -> str:
    """What weighted text says; empty for a span of another kind."""
    if not span.startswith("("):
        return ""
    plain = BRACKET.sub(" ", TAG.sub(" ", WILDCARD.sub(" ", span)))
    return " ".join(plain.split())


def _span_end(text: str, at: int, closed: dict[int, int]) -> int:
    """Where the span that begins at `at` ends; 0 where none begins."""
    if text[at] != "(":
        return _verbatim_end(text, at, closed)
    end = closed.get(at, 0)
    if not end or WEIGHT_INSIDE.search(text, max(at, end - LONGEST_WEIGHT), end):
        return end
    after = WEIGHT_AFTER.match(text, end)
    return after.end() if after else 0


def _verbatim_end(text: str, at: int, closed: dict[int, int]) -> int:
    if text.startswith("${", at):
        return closed.get(at + 1, 0)
    if text[at] == "{":
        return closed.get(at, 0)
    match = TAG.match(text, at) or WILDCARD.match(text, at)
    return match.end() if match else 0


def _closed(text: str) -> dict[int, int]:
    """Position of each bracket that is closed, and the one after its closing."""
    found: dict[int, int] = {}
    waiting: dict[str, list[int]] = {close: [] for close in OPENERS.values()}
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == "\\":
            at += 1
        elif letter in OPENERS:
            waiting[OPENERS[letter]].append(at)
        elif waiting.get(letter):
            found[waiting[letter].pop()] = at + 1
        at += 1
    return found
