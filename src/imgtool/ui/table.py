"""Tables: ruled and folded on a terminal, aligned plain columns elsewhere."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from imgtool.ui.text import strip_escapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HIDDEN = {"schema", "at", "source_prompt"}
OWN = ("id", "prompt", "seed")
GAP = "  "
SHORT = 9
READABLE = 18
"""A column of sentences gets at least so many letters before others fold."""


@dataclass(frozen=True)
class RowTable:
    """Rows as people want to see them.

    Attributes
    ----------
    columns, cells : what differs from row to row: id, prompt, seed, scores, the rest, failures.
    shared : what all rows have in common, name to value; empty values are left out.

    Records are left to `--json`.
    """

    columns: list[str]
    cells: list[list[object]]
    shared: dict[str, object]


def row_table(rows: Sequence[Mapping[str, object]]) -> RowTable:
    """The table of JSON rows."""
    records = {key for row in rows for key, value in row.items() if isinstance(value, dict)}
    hidden = HIDDEN | records
    names = dict.fromkeys(key for row in rows for key in row if key not in hidden)
    done = [row for row in rows if "failure" not in row]
    shared, varying = {}, []
    for name in names:
        first = done[0].get(name) if done else None
        if name in OWN or name.startswith("score.") or any(r.get(name) != first for r in done):
            varying.append(name)
        elif first not in (None, ""):
            shared[name] = first
    columns = sorted(varying, key=lambda name: OWN.index(name) if name in OWN else len(OWN))
    cells = [[row.get(name) for name in columns] for row in rows]
    if len(done) < len(rows):
        columns.append("failed")
        for row, line in zip(rows, cells, strict=True):
            failure = row.get("failure")
            line.append(failure.get("reason", "") if isinstance(failure, dict) else "")
    return RowTable(columns, cells, shared)


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
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = shutil.get_terminal_size().columns
    longest = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    folds = [
        any(" " in row[at] and len(row[at]) > SHORT for row in texts) for at in range(len(columns))
    ]
    rigid = sum(n for n, fold in zip(longest, folds, strict=True) if not fold)
    spare = (width - rigid - len(GAP) * len(columns)) // max(1, sum(folds))
    table = Table(
        box=SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name, letters, fold in zip(columns, longest, folds, strict=True):
        table.add_column(
            name,
            overflow="fold",
            no_wrap=not fold and spare >= SHORT,
            min_width=max(1, min(letters, spare, READABLE)) if fold else None,
        )
    for row in texts:
        table.add_row(*(Text(text) for text in row))
    Console(file=out, width=width).print(table)
