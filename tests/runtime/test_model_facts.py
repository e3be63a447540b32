"""What is said of a model comes from its declaration and its folder, without loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgtool.components import Component
from imgtool.runtime.model_facts import ModelFacts, model_facts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the model `sculptor:stone`."""
    made = tmp_path / "sculptor" / "stone"
    made.mkdir(parents=True)
    (made.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return made


def facts(**meta: str) -> ModelFacts:
    return model_facts(Component("model", "stone", "sculptor:stone", "A stone.", meta, "sculptor"))


def test_size_card_and_quality_are_those_of_the_folder(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "model.safetensors").write_bytes(bytes(100))
    (folder / "figures.json").write_text('{"hard": 0.75}')
    (folder / "README.md").write_text("# stone\n")

    found = facts(task="carving", licence="MIT", quality="{hard:.0%} hard")

    assert (found.task, found.licence, found.resolution) == ("carving", "MIT", "")
    assert found.bytes == 100 + len('{"hard": 0.75}') + len("# stone\n")
    assert (found.figures, found.quality, found.card) == ({"hard": 0.75}, "75% hard", "# stone\n")


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"soft": 1}', '{"hard": "very"}'])
def test_quality_is_empty_where_its_figure_is_not_there(folder: Path, text: str) -> None:
    (folder / "figures.json").write_text(text)
    assert facts(quality="{hard:.0%} hard").quality == ""


def test_a_model_that_is_not_here_has_no_size(folder: Path) -> None:
    folder.rmdir()
    assert facts().bytes is None
