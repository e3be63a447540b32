"""The texts that `tabletop/vlm` learns to say: captions and answers, many to a picture."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from imgtool_tabletop.captions.questions import REQUESTS, full_caption, questions
from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.finding import IGNORE, places_of

ROOM = 112
"""Tokens of text about one picture: as many of its questions as fit."""
HARD = frozenset({"relation", "shows"})
"""Kinds of questions about several solids at once: asked more often than others."""


@dataclass(frozen=True)
class Packed:
    """Texts about each of `B` pictures, laid end to end.

    ids, labels : [B, L] int64, labels -100 where nothing is to be said. position : [B, L], within
    each text. text : [B, L] number of the text, -1 padding.
    """

    ids: Tensor
    labels: Tensor
    position: Tensor
    text: Tensor


def pack(rows: Sequence[Sequence[tuple[list[int], list[int]]]]) -> Packed:
    """Lay out texts given as (question, answer) tokens."""
    length = max(sum(len(q) + len(a) for q, a in row) for row in rows)
    planes: tuple[list[list[int]], ...] = ([], [], [], [])
    for row in rows:
        lines: tuple[list[int], ...] = ([], [], [], [])
        for number, (question, answer) in enumerate(row):
            count = len(question) + len(answer)
            lines[0].extend((*question, *answer))
            lines[1].extend((*[IGNORE] * len(question), *answer))
            lines[2].extend(range(count))
            lines[3].extend([number] * count)
        rest = length - len(lines[0])
        for plane, line, filler in zip(planes, lines, (0, IGNORE, 0, -1), strict=True):
            plane.append(line + [filler] * rest)
    return Packed(*(torch.tensor(plane) for plane in planes))


def mask_of(packed: Packed, before: int) -> Tensor:
    """[B, 1, T, T] float32, added to attention: 0 where a token may look, a low number else.

    All see what came before; of the texts, which follow `before` tokens, each sees itself alone.
    """
    rows, length = packed.ids.shape
    may = torch.ones(before + length, before + length, dtype=torch.bool).tril().repeat(rows, 1, 1)
    may[:, before:, before:] &= packed.text[:, :, None] == packed.text[:, None, :]
    return torch.where(may, 0.0, torch.finfo(torch.float32).min / 2)[:, None]


class Texts:
    """Captions and questions of a bank's scenes, in tokens; remembers what it has made.

    asked : how often a caption answers a request instead of nothing.
    """

    def __init__(self, bank: PictureBank, tokenizer: CLIPTokenizer, asked: float) -> None:
        self.bank, self.tokenizer, self.asked = bank, tokenizer, asked
        self._tokens: dict[str, list[int]] = {}
        self._captions: dict[int, str] = {}
        self._places: dict[int, tuple[Tensor, Tensor]] = {}

    def caption(self, row: int) -> str:
        """The full caption of picture `row`."""
        if row not in self._captions:
            self._captions[row] = full_caption(self.bank.scene(row))
        return self._captions[row]

    def places(self, row: int) -> tuple[Tensor, Tensor]:
        """`places_of` picture `row`."""
        if row not in self._places:
            self._places[row] = places_of(self.bank.scene(row))
        return self._places[row]

    def batch(self, rows: list[int], step: int) -> Packed:
        """A caption and some questions of each of `rows`, other ones at each step."""
        texts: list[list[tuple[str, str]]] = []
        for row in rows:
            rng = random.Random(f"ask:{row}:{step}")
            request = rng.choice(REQUESTS) if rng.random() < self.asked else ""
            asked = questions(self.bank.facts(row), rng)
            asked.sort(key=lambda question: rng.random() / (1 + (question.kind in HARD)))
            texts.append([(request, self.caption(row)), *((q.text, q.answer) for q in asked)])
        self._learn({part for pairs in texts for pair in pairs for part in pair})
        return pack([self._fitting(pairs) for pairs in texts])

    def _fitting(self, texts: list[tuple[str, str]]) -> list[tuple[list[int], list[int]]]:
        pairs = [self._pair(*text) for text in texts]
        ends = itertools.accumulate(len(question) + len(answer) for question, answer in pairs)
        return [pair for pair, end in zip(pairs, ends, strict=True) if end <= ROOM]

    def _learn(self, texts: set[str]) -> None:
        new = sorted(texts - self._tokens.keys())
        if new:
            self._tokens |= zip(new, self.tokenizer(new).input_ids, strict=True)

    def _pair(self, question: str, answer: str) -> tuple[list[int], list[int]]:
        return self._tokens[question][1:], self._tokens[answer][1:]
