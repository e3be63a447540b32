"""How a command answers, decided in one place: option, then environment, then terminal."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from imgtool.cli.options import RunOptions
    from imgtool.ui.outlets import Collected

PREVIEWS = 4
TABLE_ROWS = 20


@dataclass(frozen=True)
class Output:
    """Where data and notes go. Data to stdout, all else to stderr.

    Attributes
    ----------
    mode : `json`, `stream`, `table` or `none`.
    progress : `bar`, `json` or `none`.
    colour : whether stdout may have colour and rules.
    previews : how many pictures a table may show.
    """

    mode: str
    progress: str = "none"
    colour: bool = False
    previews: int = 0
    table_rows: int = TABLE_ROWS

    @classmethod
    def of(cls, options: RunOptions, *, streams: bool = True) -> Output:
        """The answer's form for a command that runs rows."""
        terminal = sys.stdout.isatty()
        if options.json:
            mode = "json"
        elif terminal:
            mode = "table"
        else:
            mode = "stream" if streams and _takes_stream() else "none"
        colour = terminal and may_colour()
        return cls(
            mode, _progress(options.progress), colour, PREVIEWS if colour and mode == "table" else 0
        )

    @property
    def keeps_stream(self) -> bool:
        """Whether the stream goes into a file, whose rows must then stay where it says."""
        return self.mode == "stream" and _is_file()

    @classmethod
    def plain(cls, json: bool = False) -> Output:
        """The answer's form for a command that lists things."""
        return cls("json" if json else "table", "none", sys.stdout.isatty() and may_colour())

    def line(self, text: str = "") -> None:
        """One line of data, free of terminal escapes."""
        from imgtool.ui.text import strip_escapes

        sys.stdout.write(strip_escapes(text) + "\n")

    def verbatim(self, text: str) -> None:
        """Text of our own, as it is."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def json(self, value: Mapping[str, object] | Sequence[object]) -> None:
        """One JSON document on a line."""
        from imgtool.stream import dumps

        sys.stdout.write(dumps(value) + "\n")

    def note(self, text: str) -> None:
        """One line for people, on stderr."""
        from imgtool.ui.text import strip_escapes

        if text:
            sys.stderr.write(strip_escapes(text) + "\n")

    def rows(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table: rules and colour on a terminal, aligned columns elsewhere."""
        from imgtool.ui.table import write_table

        write_table(sys.stdout, columns, rows, rich_terminal=self.colour)

    def table(self, collected: Collected) -> None:
        """The rows that a run ended with, and previews of the first pictures."""
        from imgtool.ui.table import cell, row_table

        if collected.rows:
            table = row_table(collected.rows)
            self.rows(table.columns, table.cells)
            if table.shared:
                said = (f"{name} {cell(value)}" for name, value in table.shared.items())
                self.line("all: " + ", ".join(said))
        if collected.count > len(collected.rows):
            self.line(f"… {collected.count - len(collected.rows)} more rows; --json prints all")
        self.pictures(collected.pictures)

    def pictures(self, images: Sequence[object]) -> None:
        """Previews, on a terminal with colour."""
        if self.colour and images:
            from imgtool.ui.previews import write_previews

            write_previews(sys.stdout, images)


def may_colour() -> bool:
    """Whether the environment allows colour: https://no-color.org and dumb terminals."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _progress(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "bar" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else "none"


def _is_file() -> bool:
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _takes_stream() -> bool:
    """Whether stdout is a pipe or a file: nobody reads a stream that goes to /dev/null."""
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError):
        return True  # a runner that captures stdout in memory reads it
    return not stat.S_ISCHR(mode)
