"""Reads the files of suites and benchmarks. Every complaint names file and line."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from imgtool.api import InputEmpty, InputMissing, InputUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_BYTES = 256 << 20


def lines_of(path: Path) -> list[tuple[int, str]]:
    """Lines that are not blank, with their numbers.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : as the names say.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputUnreadable(f"{str(path)!r} is larger than {MOST_BYTES >> 20} MiB")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputMissing(f"no such file: {str(path)!r}", "Check the path") from None
    except IsADirectoryError:
        raise InputUnreadable(f"{str(path)!r} is a folder, not a file") from None
    except OSError as err:
        raise InputUnreadable(f"{str(path)!r} cannot be read: {err.strerror}") from None
    found = []
    for number, raw in enumerate(data.splitlines(), start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise InputUnreadable(
                f"{path}:{number} is not UTF-8 text", "Convert it with iconv -t UTF-8"
            ) from None
        if line:
            found.append((number, line))
    if not found:
        raise InputEmpty(f"{str(path)!r} holds no lines", "Give the file as it was published")
    return found


def parsed(text: str, where: str) -> Any:
    """The value of one JSON text.

    Raises
    ------
    InputUnreadable : it is none.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as err:
        raise InputUnreadable(f"{where} is not JSON: {err.msg}") from None
    except (ValueError, RecursionError):
        raise InputUnreadable(f"{where} is not JSON: too deep or too long") from None


def objects_of(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON object on each line, with the line's number.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : as the names say.
    """
    for number, line in lines_of(path):
        value = parsed(line, f"{path}:{number}")
        if not isinstance(value, dict):
            raise InputUnreadable(f"{path}:{number} is no JSON object")
        yield number, value


def records_of(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with a header, with the line on which each ends.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : as the names say, or a column `needed` is missing.
    """
    lines_of(path)  # the same refusals as for every file
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        lacking = [name for name in needed if name not in (reader.fieldnames or ())]
        if lacking:
            raise InputUnreadable(
                f"{path}:1 has no column {lacking[0]!r}",
                f"Columns needed: {', '.join(needed)}",
            )
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise InputUnreadable(
                        f"{path}:{reader.line_num} has another count of cells than the header",
                        "Quote cells that hold commas",
                    )
                yield reader.line_num, row
        except csv.Error as err:
            raise InputUnreadable(f"{path}:{reader.line_num}: {err}") from None


def rows_of(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a `.csv` or `.jsonl` file, each with every field `needed`.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : as the names say.
    """
    if path.suffix.lower() == ".csv":
        yield from records_of(path, needed)
        return
    for number, row in objects_of(path):
        lacking = [name for name in needed if name not in row]
        if lacking:
            raise InputUnreadable(f"{path}:{number} has no field {lacking[0]!r}")
        yield number, row
