"""Folders of small pictures and the sharp ones that they were made or taken of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgtool.api import InputEmpty, InputMissing

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
SMALL: Final = ("lr", "lq", "low", "input")
SHARP: Final = ("hr", "gt", "hq", "high", "target")
# RealSR: Canon_001_LR4.png beside Canon_001_HR.png. DRealSR: x4 of each in test_LR and test_HR.
MARK: Final = re.compile(r"[_-]?(LR|HR|x)\d?$", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """A small picture and its sharp one, and the name that both go by."""

    name: str
    small: Path
    sharp: Path


def pairs_in(folder: Path) -> list[Pair]:
    """The pairs of a folder, sorted by name.

    Either two folders somewhere inside, such as `LR` and `HR`, `test_LR` and `test_HR` or `lq` and
    `gt`, whose pictures have equal names but for marks such as `_LR4` and `_x4`; or, as in RealSR,
    both kinds beside one another, told apart by `_LR` and `_HR`.

    Raises
    ------
    InputMissing, InputEmpty : there is no such folder, or no pair in it.
    """
    if not folder.is_dir():
        raise InputMissing(f"no such folder: {str(folder)!r}")
    small: dict[str, Path] = {}
    sharp: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in SUFFIXES:
            side = _side(file, folder)
            if side is not None:
                (small if side == "small" else sharp)[_name(file)] = file
    found = [Pair(name, small[name], sharp[name]) for name in sorted(small.keys() & sharp.keys())]
    if not found:
        raise InputEmpty(
            f"{str(folder)!r} holds no pairs: {len(small)} small pictures, {len(sharp)} sharp ones",
            "Put them in folders LR and HR under equal names, or name them …_LR and …_HR",
        )
    return found


def _name(file: Path) -> str:
    return MARK.sub("", file.stem).lower()


def _side(file: Path, folder: Path) -> str | None:
    """`small`, `sharp`, or None where neither its own name nor a folder's says."""
    words = re.split(r"[^a-z]+", file.stem.lower())
    places = [
        re.split(r"[^a-z]+", part.lower()) for part in reversed(file.relative_to(folder).parts[:-1])
    ]
    for parts in (words[-2:], *places):
        if any(part in SMALL for part in parts):
            return "small"
        if any(part in SHARP for part in parts):
            return "sharp"
    return None
