"""Tables off a terminal, and previews."""

from __future__ import annotations

import io

import numpy as np

from imgtool.ui.previews import UPPER_HALF, preview
from imgtool.ui.table import cell, row_table, write_table


def test_plain_tables_are_aligned_and_have_no_trailing_spaces() -> None:
    out = io.StringIO()

    write_table(out, ("id", "prompt"), [("0", "a cube"), ("10", "b")], rich_terminal=False)

    assert out.getvalue() == "ID  PROMPT\n0   a cube\n10  b\n"


def test_an_empty_table_is_its_header() -> None:
    out = io.StringIO()

    write_table(out, ("id",), [], rich_terminal=False)

    assert out.getvalue() == "ID\n"


def test_cells_are_one_line_without_escapes() -> None:
    assert cell("a\nb\x1b[31m c\t d") == "a b c d"
    assert cell(None) == ""
    assert cell(0.123456) == "0.1235"


def test_failed_rows_get_a_column_of_reasons() -> None:
    rows = [
        {"schema": "x", "id": "0", "prompt": "a", "at": "y"},
        {"schema": "x", "id": "1", "failure": {"reason": "dark"}},
    ]

    table = row_table(rows)

    assert table.columns == ["id", "prompt", "failed"]
    assert table.cells == [["0", "a", ""], ["1", None, "dark"]]


def test_what_all_rows_share_is_said_once() -> None:
    rows = [
        {"id": str(i), "steps": 25, "note": "", "model": "m", "seed": i, "prompt": "a",
         "score.red": 1.0, "score_info.red": {"metric": "red"}, "tint": ("none", "red")[i]}
        for i in range(2)
    ]  # fmt: skip

    table = row_table(rows)

    assert table.columns == ["id", "prompt", "seed", "score.red", "tint"]
    assert table.shared == {"steps": 25, "model": "m"}


def test_a_preview_keeps_proportions_and_colour() -> None:
    image = np.zeros((20, 40, 3), dtype=np.uint8)
    image[:10] = (255, 0, 0)

    lines = preview(image, width=8)

    assert len(lines) == 2
    assert all(line.count(UPPER_HALF) == 8 for line in lines)
    assert "38;2;255;0;0" in lines[0]
    assert "48;2;0;0;0" in lines[1]
