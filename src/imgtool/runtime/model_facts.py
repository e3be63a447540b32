"""What there is to say of a plugin's model without loading it: size, figures, card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool.errors import ModelUnusable
from imgtool.runtime.models import alias_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgtool.components import Component

CARD, FIGURES = "README.md", "figures.json"


@dataclass(frozen=True)
class ModelFacts:
    """A model as `imgtool models` lists it.

    Attributes
    ----------
    name, task, summary, plugin, resolution, licence : as its plugin declares; empty: not said.
    bytes : size of its files; None: they are not here.
    figures : what was measured, from `figures.json` in its folder.
    quality : the declared sentence with figures filled in; empty where one of them is missing.
    card : text of `README.md` in its folder; empty without one.
    """

    name: str
    task: str
    summary: str
    plugin: str
    resolution: str
    licence: str
    bytes: int | None
    figures: Mapping[str, float]
    quality: str
    card: str


def model_facts(alias: Component) -> ModelFacts:
    """Look at the files of a plugin's model."""
    try:
        path = alias_path(alias)
    except ModelUnusable:
        path = None
    figures = _figures(path) if path else {}
    return ModelFacts(
        alias.name,
        alias.meta.get("task", ""),
        alias.summary,
        alias.dist,
        alias.meta.get("resolution", ""),
        alias.meta.get("licence", ""),
        _size(path) if path else None,
        figures,
        _filled(alias.meta.get("quality", ""), figures),
        _card(path) if path else "",
    )


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _figures(path: Path) -> dict[str, float]:
    try:
        found = json.loads((path / FIGURES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in pairs if isinstance(value, int | float)}


def _filled(sentence: str, figures: Mapping[str, float]) -> str:
    try:
        return sentence.format_map(figures)
    except (KeyError, ValueError):
        return ""


def _card(path: Path) -> str:
    file = path / CARD
    return file.read_text(encoding="utf-8") if file.is_file() else ""
