"""T2I-CompBench(++), Huang et al. (2023), arXiv 2307.06350: `NAME_val.txt`, a prompt a line.

Attribute binding is asked phrase by phrase and multiplied, as there. What the paper measures by a
detector or by CLIP is asked of the same model here, about the whole prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool.api import InputMissing
from imgtool_score.decompose import phrases_of
from imgtool_score.suites.files import lines_of
from imgtool_score.suites.layouts.asked import SHOWS, document

if TYPE_CHECKING:
    from pathlib import Path

ATTRIBUTES = ("color", "shape", "texture")
CATEGORIES = (*ATTRIBUTES, "spatial", "3d_spatial", "numeracy", "non_spatial", "complex")
SUFFIX = "_val.txt"
SEEDS = 10
MOST_PHRASES = 8


def read(path: Path) -> dict[str, Any]:
    """The document of `examples/dataset`, of the checkout above it, or of one category's file.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : with file and line.
    """
    folder = path / "examples" / "dataset"
    folder = folder if folder.is_dir() else path
    files = {name: folder / f"{name}{SUFFIX}" for name in CATEGORIES}
    if not path.is_dir():
        files = {path.name.removesuffix(".txt").removesuffix("_val"): path}
    found = {name: file for name, file in files.items() if file.is_file()}
    if not found:
        raise InputMissing(
            f"{str(path)!r} holds no prompts of T2I-CompBench",
            f"Files are called {', '.join(name + SUFFIX for name in CATEGORIES[:2])}…",
        )
    items = [
        _item(category, index, prompt)
        for category, file in found.items()
        for index, (_, prompt) in enumerate(lines_of(file))
    ]
    return document("t2i-compbench", items, SEEDS, picture="product", overall="categories")


def _item(category: str, index: int, prompt: str) -> dict[str, Any]:
    phrases = phrases_of(prompt)[:MOST_PHRASES] if category in ATTRIBUTES else []
    questions = [{"text": f"{phrase}?", "kind": "phrase"} for phrase in phrases]
    return {
        "id": f"{category}-{index:06}",
        "prompt": prompt,
        "category": category,
        "questions": questions or [{"text": SHOWS.replace("{}", prompt), "kind": "whole"}],
    }
