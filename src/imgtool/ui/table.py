"""Tables: boxed on a terminal, aligned plain columns elsewhere."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, TextIO

from imgtool.ui.text import strip_escapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HIDDEN = {"schema", "at", "failure", "source_prompt"}
GAP = "  "


def row_columns(
    rows: Sequence[Mapping[str, object]],
) -> tuple[list[str], list[list[object]]]:
    """Columns and cells that show JSON rows: id, prompt, seed, scores, then failures."""
    names = [
        name for name in dict.fromkeys(key for row in rows for key in row) if name not in HIDDEN
    ]
    if any("failure" in row for row in rows):
        names.append("failed")
    cells: list[list[object]] = []
    for row in rows:
        failure = row.get("failure")
        reason = failure.get("reason", "") if isinstance(failure, dict) else ""
        cells.append([reason if name == "failed" else row.get(name) for name in names])
    return names, cells


def write_table(
    out: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]], rich_terminal: bool
) -> None:
    """Write a table; values are stripped of terminal escapes."""
    texts = [[cell(value) for value in row] for row in rows]
    if rich_terminal:
        _write_rich(out, columns, texts)
        return
    widths = [max(len(text) for text in column) for column in zip(columns, *texts, strict=True)]
    for row in ([name.upper() for name in columns], *texts):
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        out.write(GAP.join(padded).rstrip() + "\n")


def cell(value: object) -> str:
    """A value as one line of text."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(strip_escapes(str(value)).split())


def _write_rich(out: TextIO, columns: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in texts:
        table.add_row(*(Text(text) for text in row))
    width = shutil.get_terminal_size().columns
    Console(file=out, width=width).print(table)
