"""`imgtool show` of folders that makers made, by what their plugins say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Imgtool


@pytest.fixture
def stone(world: Path) -> str:
    """A folder as `carve.toy` makes it."""
    (world / "stone").mkdir()
    (world / "stone" / "model.json").write_text('{"weight": 3}')
    return "stone/"


def test_facts_and_rows_are_shown_as_tables(imgtool: Imgtool, stone: str) -> None:
    whole, cut = imgtool("show", stone), imgtool("show", stone, "--rows", "1")

    assert whole.out.splitlines() == [
        "WHAT    VALUE",
        "weight  3",
        "",
        "GRAM  OF",
        "0     stone",
        "1     stone",
        "2     stone",
    ]
    assert cut.out.splitlines()[-2:] == ["0     stone", "… 2 more; --rows 3 shows all"]


def test_json_is_the_whole_document(imgtool: Imgtool, stone: str) -> None:
    assert imgtool("show", stone, "--json", "--rows", "0").out == '{"weight":3}\n'


def test_the_chart_goes_where_it_is_asked(imgtool: Imgtool, world: Path, stone: str) -> None:
    from PIL import Image

    assert imgtool("show", stone, "-o", "chart.png").status == 0
    with Image.open(world / "chart.png") as chart:
        assert chart.size == (8, 4)
        assert chart.info == {}


def test_what_has_no_chart_is_refused(imgtool: Imgtool, world: Path, stone: str) -> None:
    (world / "stone" / "model.json").write_text('{"weight": 1}')
    (world / "a.txt").write_text("a cube")

    for what in (stone, "a.txt"):
        answer = imgtool("show", what, "-o", "chart.png")
        assert answer.status == 2
        assert "has no chart" in answer.err
    assert not (world / "chart.png").exists()


def test_a_folder_that_nobody_knows_is_refused(imgtool: Imgtool, world: Path) -> None:
    (world / "empty").mkdir()
    answer = imgtool("show", "empty/")

    assert answer.status == 2
    assert "no plugin knows what the folder 'empty/' holds" in answer.err
