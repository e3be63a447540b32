"""What the layouts share: the judge that answers questions, and finding their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool.api import InputMissing
from imgtool_score.suites.model import SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

VQA = {"stage": "score.vqa", "params": {"decompose": "given"}}
SHOWS = 'Does this figure show "{}"? Please answer Yes or No.'


def file_in(path: Path, *names: str) -> Path:
    """`path` itself where it is a file, else the first of `names` below it that is there.

    Raises
    ------
    InputMissing : none is.
    """
    if not path.is_dir():
        return path
    for name in names:
        if (path / name).is_file():
            return path / name
    raise InputMissing(
        f"folder {str(path)!r} holds no {names[0]}", "Give the folder of the published benchmark"
    )


def document(name: str, items: list[dict[str, Any]], seeds: int, **rule: Any) -> dict[str, Any]:
    """A suite's document with questions for a model that looks and answers."""
    return {
        "schema": SCHEMA,
        "name": name,
        "judge": VQA,
        "rule": rule,
        "seeds": seeds,
        "items": items,
    }


def with_article(name: str) -> str:
    """`a cup`, `an apple`."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
