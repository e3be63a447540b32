"""Where the tables and keys of a TOML file are, which `tomllib` does not tell."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Each part takes all it can and keeps it: a long line is gone through once.
HEADER = re.compile(r"^\s*+(\[\[?+)([^\]]++)\]\]?+\s*+(?:#.*)?$")
KEY = re.compile(r"""^\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)\s*(?:\.[^=]*)?=""")
PART = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)""")


@dataclass
class Table:
    """One `[header]` or one element `[[header]]`, with the line of each key under it."""

    path: tuple[str, ...]
    line: int
    keys: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Lines:
    """The tables of one file in order; the first is what precedes any header."""

    tables: tuple[Table, ...]

    def elements(self, *path: str) -> list[Table]:
        """Every table with this header, in order."""
        return [table for table in self.tables if table.path == path]

    def line_of(self, *path: str) -> int:
        """Line of a table's header, or of the key that holds it, or of what it is in; from 1."""
        for end in range(len(path), 0, -1):
            for table in self.elements(*path[:end]):
                return table.line
            for table in self.elements(*path[: end - 1]):
                if path[end - 1] in table.keys:
                    return table.keys[path[end - 1]]
        return 1


def find_lines(text: str) -> Lines:
    """Locate the tables and keys of `text`, which is valid TOML."""
    tables = [Table((), 1)]
    delimiter = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if delimiter:
            if line.count(delimiter) % 2:
                delimiter = ""
            continue
        if header := HEADER.match(line):
            tables.append(Table(_parts(header[2]), number))
        elif key := KEY.match(line):
            tables[-1].keys[_parts(key[1])[0]] = number
        delimiter = next((d for d in ('"""', "'''") if line.count(d) % 2), "")
    return Lines(tuple(tables))


def _parts(header: str) -> tuple[str, ...]:
    return tuple("".join(groups) for groups in PART.findall(header))
