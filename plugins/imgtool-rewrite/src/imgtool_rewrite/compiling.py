"""Weighted pieces to prompt embeddings, by a model's own tokenizer and text encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from imgtool_rewrite.weighting import blended, drawn_from_empty, scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from imgtool_rewrite.weights import Piece, Syntax


class TextEncoder(Protocol):
    """What the component `diffusers` of the kind `text-encoder` makes."""

    @property
    def mark(self) -> str:
        """Tells one text encoder from another."""

    def tokens(self, text: str) -> list[int]:
        """Tokens of a text, without marks, however many."""

    def padded(self, ids: Sequence[int]) -> list[int]:
        """The tokens between marks, cut or padded to what the model reads."""

    def encode(self, ids: Sequence[int], mask: Sequence[int] | None = None) -> Tensor:
        """[T, D] float32 of padded tokens; those with 0 in `mask` are not attended to."""


@dataclass(frozen=True)
class Compiled:
    """Embeddings, [T, D] float32, and how many tokens of the prompt were cut."""

    embeds: Tensor
    cut: int


def compile_pieces(encoder: TextEncoder, pieces: Sequence[Piece], syntax: Syntax) -> Compiled:
    """Embeddings of the pieces; with all weights 1, those of the plain prompt."""
    spans, ids, weights = [], list[int](), list[float]()
    for piece in pieces:
        found = encoder.tokens(piece.text)
        spans.append((len(ids) + 1, len(ids) + 1 + len(found), piece.weight))
        ids += found
        weights += [piece.weight] * len(found)
    padded = encoder.padded(ids)
    room = len(padded) - 2
    w = torch.ones(len(padded))
    w[1 : 1 + len(ids[:room])] = torch.tensor(weights[:room])
    z, cut = encoder.encode(padded), max(len(ids) - room, 0)
    if syntax == "a1111":
        return Compiled(scaled(z, w), cut)
    empty = encoder.encode(encoder.padded([]))
    without = []
    for start, end, weight in spans:
        stop = min(end, room + 1)
        if weight < 1 and start < stop:
            mask = [int(not start <= at < stop) for at in range(len(padded))]
            lacking = encoder.encode(padded, mask)
            without.append((drawn_from_empty(lacking, empty, w), weight))
    return Compiled(blended(drawn_from_empty(z, empty, w), without), cut)
