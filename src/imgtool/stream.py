"""The framed stream between imgtool processes: small JSON lines, arrays stay in the store.

A stream is one header, then for every committed batch its rows and a batch line, then one
trailer. Without a trailer the stream was cut. Nothing here opens a store.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO, TypeAlias

from imgtool.errors import InputUnreadable, StreamCut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imgtool.batch import Batch

VERSION = 1
MARK = '{"imgtool":"stream",'
ROW_SCHEMA = "imgtool.row/1"

# What a terminal obeys, what other programs take for a line's end, and what UTF-8 cannot hold.
UNPRINTABLE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

BATCH_NAME = re.compile(r"[0-9]{6,}-[0-9a-f]{16}")

Line: TypeAlias = dict[str, object]


@dataclass(frozen=True)
class Header:
    """What a stream says before its first row.

    Attributes
    ----------
    store : absolute path of the store that holds the rows.
    run : name of the run in it.
    instance : key of the instance whose batches the stream lists.
    fields : names of all fields that its rows have there; `score.*` stands for any scores.
    """

    store: str
    run: str
    instance: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trailer:
    """What a complete stream ends with: rows sent, rows failed."""

    rows: int
    failed: int


def dumps(value: object) -> str:
    """One line of JSON that is safe to print: text stays readable, controls are escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain(value: object) -> object:
    """`value` as JSON has it: NaN and infinities become null, arrays are left out by callers."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def row_lines(instance: str, name: str, batch: Batch) -> Iterator[Line]:
    """One mapping a row: id, scalar fields, and `at`, its place in the store."""
    for index, row in enumerate(batch):
        values = {key: plain(value) for key, value in row.values.items() if not _is_array(value)}
        line: Line = {"schema": ROW_SCHEMA, "id": row.id, **values}
        # Input files may have columns of these names.
        yield line | {"schema": ROW_SCHEMA, "at": f"{instance}/{name}#{index}"}
    for row_id, why in batch.failures.items():
        failure = {"stage": why.stage, "code": why.code, "reason": why.reason}
        yield {"schema": ROW_SCHEMA, "id": row_id, "failure": failure}


def _is_array(value: object) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


@dataclass
class StreamWriter:
    """Writes one stream. Owns no file: `out` is flushed after every batch, never closed."""

    out: TextIO
    rows: int = 0
    failed: int = 0

    def header(self, header: Header) -> None:
        """Say where the rows are. Once, first."""
        self._line(
            {
                "imgtool": "stream",
                "version": VERSION,
                "store": header.store,
                "run": header.run,
                "instance": header.instance,
                "fields": list(header.fields),
            }
        )
        self.out.flush()

    def batch(self, instance: str, name: str, batch: Batch) -> None:
        """The rows of a committed batch, then its name."""
        for line in row_lines(instance, name, batch):
            self._line(line)
        self._line({"batch": name, "rows": len(batch), "failed": len(batch.failures)})
        self.rows += len(batch)
        self.failed += len(batch.failures)
        self.out.flush()

    def trailer(self) -> None:
        """Say that the stream is whole. Once, last."""
        self._line({"end": {"rows": self.rows, "failed": self.failed}})
        self.out.flush()

    def _line(self, line: Mapping[str, object]) -> None:
        self.out.write(dumps(line) + "\n")


def is_stream(first_line: str) -> bool:
    """Whether a first line is a stream's header."""
    return first_line.startswith(MARK)


def read_header(first_line: str) -> Header:
    """The header in `first_line`.

    Raises
    ------
    InputUnreadable : it is damaged, or of a newer version.
    """
    line = _parse(first_line, 1)
    version = line.get("version")
    if version != VERSION:
        raise InputUnreadable(
            f"the stream on stdin has version {version!r}, this imgtool reads {VERSION}",
            "Run both commands of the pipe with the same imgtool",
        )
    try:
        names = line.get("fields")
        return Header(
            str(line["store"]),
            str(line["run"]),
            str(line["instance"]),
            tuple(str(name) for name in names) if isinstance(names, list) else (),
        )
    except KeyError as err:
        raise InputUnreadable(f"the stream's header lacks {err.args[0]!r}") from None


@dataclass
class StreamReader:
    """Batch names of one stream, as they come.

    Attributes
    ----------
    trailer : set when the stream has ended well.
    cut : whether it ended without a trailer. Rows that came are still good.
    """

    lines: Iterator[str]
    header: Header
    trailer: Trailer | None = None
    cut: bool = False

    def batches(self) -> Iterator[str]:
        """Names of committed batches; blocks until the next one. Ends at trailer or cut.

        A damaged line is a cut, and so is a batch line with what could be no batch's name.
        """
        for number, text in enumerate(self.lines, start=2):
            try:
                line = _parse(text, number)
            except InputUnreadable:
                break
            if "schema" in line:  # a row: its fields may have any names
                continue
            if "batch" in line:
                if not BATCH_NAME.fullmatch(str(line["batch"])):
                    break
                yield str(line["batch"])
            elif isinstance(end := line.get("end"), dict):
                self.trailer = Trailer(int(end.get("rows", 0)), int(end.get("failed", 0)))
                return
        self.cut = True

    def check_whole(self) -> None:
        """Call when the run over the batches has ended.

        Raises
        ------
        StreamCut : the upstream command ended before its trailer.
        """
        if self.cut:
            raise StreamCut(
                "the upstream command ended early; the rows that came are finished",
                "See its error above, and run the same pipe again: what is done stays done",
            )


def _parse(text: str, number: int) -> Line:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict):
        raise InputUnreadable(f"line {number} of the stream on stdin is not a JSON object")
    return line
