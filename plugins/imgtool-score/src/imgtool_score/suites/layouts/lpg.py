"""LPG-Bench, Wang et al. (2025), arXiv 2510.02987: prompts of some 250 words, judged by TIT.

The published folder has a file of prompts; which of its forms comes is taken from its suffix.
Human rankings go to `imgtool bench agree`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool.api import InputMissing, InputUnreadable
from imgtool_score.suites.files import lines_of, parsed, rows_of
from imgtool_score.suites.model import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("prompts", "prompt", "lpg_bench", "LPG-Bench")
SUFFIXES = (".jsonl", ".json", ".csv", ".txt")
IDS = ("id", "prompt_id", "index")


def read(path: Path) -> dict[str, Any]:
    """The document of a folder with `prompts.jsonl`, `.json`, `.csv` or `.txt`, or of that file.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : with file and line.
    """
    items = [
        {"id": item_id or f"{index:04}", "prompt": prompt}
        for index, (item_id, prompt) in enumerate(_prompts(_file(path)))
    ]
    return {
        "schema": SCHEMA,
        "name": "lpg-bench",
        "judge": {"stage": "score.tit"},
        "rule": {"headline": "tit"},
        "items": items,
    }


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in NAMES:
        for suffix in SUFFIXES:
            if (path / f"{name}{suffix}").is_file():
                return path / f"{name}{suffix}"
    raise InputMissing(
        f"folder {str(path)!r} holds no prompts", f"Called prompts{', prompts'.join(SUFFIXES)}"
    )


def _prompts(file: Path) -> Iterator[tuple[str, str]]:
    suffix = file.suffix.lower()
    if suffix == ".txt":
        yield from (("", line) for _, line in lines_of(file))
    elif suffix == ".json":
        yield from _of_json(file)
    else:
        for line, row in rows_of(file, ("prompt",)):
            yield _of_row(row, f"{file}:{line}")


def _of_json(file: Path) -> Iterator[tuple[str, str]]:
    value = parsed("\n".join(line for _, line in lines_of(file)), str(file))
    if isinstance(value, dict):
        value = [{"id": name, "prompt": text} for name, text in value.items()]
    if not isinstance(value, list):
        raise InputUnreadable(f"{file} holds no list of prompts")
    for at, row in enumerate(value):
        yield _of_row({"prompt": row} if isinstance(row, str) else row, f"{file}: prompt {at}")


def _of_row(row: object, where: str) -> tuple[str, str]:
    prompt = row.get("prompt") if isinstance(row, dict) else None
    if not isinstance(row, dict) or not isinstance(prompt, str) or not prompt.strip():
        raise InputUnreadable(f"{where} has no text 'prompt'")
    return next((str(row[name]) for name in IDS if row.get(name) not in (None, "")), ""), prompt
