"""Folders of small pictures and the sharp ones that they were made or taken of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgtool.api import BadParams, InputEmpty, InputMissing

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
SMALL: Final = frozenset({"lr", "lq", "low", "input"})
SHARP: Final = frozenset({"hr", "gt", "hq", "high", "target"})
# RealSR: Canon_001_LR4.png beside Canon_001_HR.png. DRealSR: x4 of each in test_LR and test_HR.
# DIV2K: 0001x4.png.
MARK: Final = re.compile(r"(?:[_-]|(?<=\d))(?:([LH]R)\d?|x\d)$", re.IGNORECASE)


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
    BadParams : two pictures of one side go by one name.
    """
    if not folder.is_dir():
        raise InputMissing(f"no such folder: {str(folder)!r}")
    small: dict[str, Path] = {}
    sharp: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        side = _side(file, folder) if file.suffix.lower() in SUFFIXES else None
        if side is None:
            continue
        first = (small if side == "small" else sharp).setdefault(_name(file), file)
        if first != file:
            raise BadParams(
                f"{str(first)!r} and {str(file)!r} go by one name, {_name(file)!r}",
                "Name a folder with one set of pairs",
            )
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
    """`small`, `sharp`, or None where neither its own mark nor a folder's name says."""
    mark = MARK.search(file.stem)
    own = (mark and mark[1]) or ""
    for said in (own, *reversed(file.relative_to(folder).parts[:-1])):
        words = set(re.split(r"[^a-z]+", said.lower()))
        if words & SMALL:
            return "small"
        if words & SHARP:
            return "sharp"
    return None
