"""Weighted prompts: the two syntaxes in use, read to pieces of text with a weight each.

`a1111`: `(x)` times 1.1, `[x]` divided by 1.1, `(x:1.3)`. `compel`: `x+` times 1.1 and `x-` times
0.9 for each sign, `(x y)1.3`, `(x y)++`; brackets without a weight only group. In both, nesting
multiplies, a backslash takes a sign as it is, and a bracket that is not closed is ordinary writing.
What else they know, one prompt after another or several at once, is refused rather than misread.
Tags, wildcards and templates are text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from imgtool_rewrite.spans import verbatim_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Syntax: TypeAlias = Literal["a1111", "compel"]

STEP = 1.1
LESS = 0.9
NUMBER_INSIDE = re.compile(r":\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*\Z")
SIGNS = r"\++|-+"
AFTER = re.compile(rf"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)|{SIGNS}")
SIGNED_WORD = re.compile(rf"(?:{SIGNS})(?=[\s,.;:)]|\Z)")
METHOD = re.compile(r"\)\s*\.(?:blend|and)\s*\(")
LONGEST_NUMBER = 32


class WeightError(ValueError):
    """The text says something that cannot be done here; the message names it."""


@dataclass(frozen=True)
class Piece:
    """Text of one weight."""

    text: str
    weight: float


def parse(text: str, syntax: Syntax) -> list[Piece]:
    """Pieces in order, none empty, neighbours of different weights.

    Raises
    ------
    WeightError : the text switches or blends prompts.
    """
    return _merged(_a1111(text) if syntax == "a1111" else _compel(text))


def _a1111(text: str) -> list[Piece]:
    literal = verbatim_spans(text)
    closing = _matched(text, {"(": ")", "[": "]"}, literal)
    found: list[Piece] = []
    weight, within = 1.0, list[tuple[int, int, float]]()
    at = 0
    while at < len(text):
        if within and at >= within[-1][0]:
            _, at, weight = within.pop()
        elif at in literal:
            found.append(Piece(text[at : literal[at]], weight))
            at = literal[at]
        elif text[at] == "\\" and text[at + 1 : at + 2] in tuple("()[]\\"):
            found.append(Piece(text[at + 1], weight))
            at += 2
        elif at in closing:
            end = closing[at]
            inside = NUMBER_INSIDE.search(text, max(at + 1, end - LONGEST_NUMBER), end)
            if text[at] == "[" and _switches(text, at, {**closing, **literal}):
                raise WeightError(f"{text[at : end + 1]!r} switches prompts, which is not known")
            within.append((inside.start() if inside and text[at] == "(" else end, end + 1, weight))
            weight *= float(inside[1]) if inside and text[at] == "(" else _step(text[at])
            at += 1
        else:
            found.append(Piece(text[at], weight))
            at += 1
    return found


def _step(bracket: str) -> float:
    return STEP if bracket == "(" else 1 / STEP


def _switches(text: str, start: int, ends: Mapping[int, int]) -> bool:
    """Whether `[…]` has a `:` or `|` of its own: `[a:b:0.5]`, `[a|b]`."""
    at = start + 1
    while at < ends[start]:
        if text[at] in ":|":
            return True
        at = max(ends.get(at, 0), at + 1 + (text[at] == "\\"))
    return False


def _compel(text: str) -> list[Piece]:
    if METHOD.search(text):
        raise WeightError("'.blend(' and '.and(' join several prompts, which is not known")
    literal = verbatim_spans(text)
    closing = _matched(text, {"(": ")"}, literal)
    found: list[Piece] = []
    weight, within = 1.0, list[tuple[int, int, float]]()
    at = word = 0
    while at < len(text):
        if within and at == within[-1][0]:
            _, at, weight = within.pop()
            word = len(found)
        elif at in literal:
            found.append(Piece(text[at : literal[at]], weight))
            at = literal[at]
        elif text[at] == "\\" and text[at + 1 : at + 2] in tuple("()+-\\"):
            found.append(Piece(text[at + 1], weight))
            at += 2
        elif at in closing:
            after = AFTER.match(text, closing[at] + 1)
            end = after.end() if after else closing[at] + 1
            within.append((closing[at], end, weight))
            weight *= _factor(after[0]) if after else 1.0
            at += 1
            word = len(found)
        elif word < len(found) and (signs := SIGNED_WORD.match(text, at)):
            factor = _factor(signs[0])
            found[word:] = [Piece(one.text, one.weight * factor) for one in found[word:]]
            at = signs.end()
        else:
            found.append(Piece(text[at], weight))
            word = len(found) if text[at].isspace() or text[at] in ",.;:" else word
            at += 1
    return found


def _factor(suffix: str) -> float:
    if suffix[0] == "+":
        return STEP ** len(suffix)
    return LESS ** len(suffix) if suffix[0] == "-" else float(suffix)


def _matched(text: str, brackets: Mapping[str, str], literal: Mapping[int, int]) -> dict[int, int]:
    """Position of each bracket that is closed, and of its closing. Pairs never cross."""
    found: dict[int, int] = {}
    opened: list[int] = []
    at = 0
    while at < len(text):
        letter = text[at]
        if at in literal:
            at = literal[at]
            continue
        if letter == "\\":
            at += 1
        elif letter in brackets:
            opened.append(at)
        elif letter in brackets.values():
            for depth in range(len(opened) - 1, -1, -1):
                if brackets[text[opened[depth]]] == letter:
                    found[opened[depth]] = at
                    del opened[depth:]
                    break
        at += 1
    return found


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    found: list[Piece] = []
    for piece in pieces:
        if found and found[-1].weight == piece.weight:
            found[-1] = Piece(found[-1].text + piece.text, piece.weight)
        else:
            found.append(piece)
    return found
