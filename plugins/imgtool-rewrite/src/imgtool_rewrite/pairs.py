"""Pairs of prompts with what to keep out of their pictures, and the pair nearest to a prompt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.api import InputMissing, InputUnreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

OWN = Path(__file__).with_name("negatives.jsonl")


@dataclass(frozen=True)
class Pair:
    """A prompt and its negative prompt."""

    positive: str
    negative: str


def read_pairs(file: Path) -> list[Pair]:
    """The pairs of a JSON Lines file with `positive` and `negative` in each line.

    Raises
    ------
    InputMissing, InputUnreadable : there is no such file, a line is no pair, or there are none.
    """
    try:
        text = file.read_text("utf-8")
    except OSError as err:
        raise InputMissing(f"{str(file)!r} cannot be read: {err.strerror}") from err
    except UnicodeDecodeError:
        raise InputUnreadable(f"{str(file)!r} is not UTF-8 text") from None
    lines = [(at, line) for at, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise InputUnreadable(f"{str(file)!r} holds no pairs")
    return [_pair(line, f"{file}:{at}") for at, line in lines]


def _pair(line: str, where: str) -> Pair:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    record = value if isinstance(value, dict) else {}
    positive, negative = record.get("positive"), record.get("negative")
    if not (_says(positive) and _says(negative)):
        raise InputUnreadable(
            f"{where}: no pair", 'Write {"positive": "...", "negative": "..."} in each line'
        )
    return Pair(str(positive), str(negative))


def _says(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def nearest(prompts: Tensor, pairs: Tensor) -> list[tuple[int, float]]:
    """For each prompt the index of the pair with the greatest cosine, and that cosine.

    Parameters
    ----------
    prompts, pairs : [N, D] and [M, D] unit vectors. Of equal cosines the first pair wins.
    """
    # Rounded: the last bits depend on what else is computed at once.
    cosines = (prompts @ pairs.mT).clamp(-1, 1).round(decimals=6)
    found: Sequence[int] = cosines.argmax(1).tolist()
    return [(index, float(row[index])) for index, row in zip(found, cosines, strict=True)]
