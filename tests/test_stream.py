"""The framed stream: what is written is read back, and a stream without trailer was cut."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.batch import Batch, Failure
from imgtool.errors import InputUnreadable, StreamCut
from imgtool.stream import (
    MARK,
    Header,
    StreamReader,
    StreamWriter,
    is_stream,
    plain,
    read_header,
    row_lines,
)

FIRST, SECOND = f"000000-{'a' * 16}", f"000001-{'b' * 16}"
HEADER = Header("/tmp/s.zarr", "demo", "draw-1", ("prompt", "image"))


def written(batches: list[tuple[str, Batch]], whole: bool = True) -> list[str]:
    """Lines of a stream of `batches`."""
    out = io.StringIO()
    writer = StreamWriter(out)
    writer.header(HEADER)
    for name, batch in batches:
        writer.batch(HEADER.instance, name, batch)
    if whole:
        writer.trailer()
    return out.getvalue().splitlines(keepends=True)


def reader_of(lines: list[str]) -> StreamReader:
    """A reader behind the header."""
    assert is_stream(lines[0])
    return StreamReader(iter(lines[1:]), read_header(lines[0]))


def test_header_and_batches_come_back_in_order() -> None:
    first = Batch(("0", "1"), {"prompt": ["a", "b"]})
    second = Batch(("2",), {"prompt": ["c"]}, number=1)

    reader = reader_of(written([(FIRST, first), (SECOND, second)]))

    assert reader.header == HEADER
    assert list(reader.batches()) == [FIRST, SECOND]
    assert reader.trailer is not None
    assert reader.trailer.rows == 3
    reader.check_whole()


@pytest.mark.parametrize("kept", [1, 2, 3, 4])
def test_a_stream_without_trailer_was_cut_after_its_whole_batches(kept: int) -> None:
    batch = Batch(("0",), {"prompt": ["a"]})
    lines = written([(FIRST, batch), (SECOND, batch)])[:kept]

    reader = reader_of(lines)
    names = list(reader.batches())

    assert len(names) == (kept - 1) // 2
    with pytest.raises(StreamCut):
        reader.check_whole()


def test_a_line_torn_in_the_middle_is_a_cut() -> None:
    lines = written([(FIRST, Batch(("0",), {"prompt": ["a"]}))])
    lines[-1] = lines[-1][:5]

    reader = reader_of(lines)

    assert list(reader.batches()) == [FIRST]
    assert reader.cut


def test_fields_of_rows_may_have_the_names_of_the_streams_own_lines() -> None:
    batch = Batch(("0",), {"prompt": ["a"], "batch": ["../x"], "end": [{"rows": 0}]})

    reader = reader_of(written([(FIRST, batch), (SECOND, batch)]))

    assert list(reader.batches()) == [FIRST, SECOND]
    assert reader.trailer is not None
    assert reader.trailer.rows == 2


@pytest.mark.parametrize("name", ["", "../../other/000000-aaaaaaaaaaaaaaaa", "000000-a", 7, None])
def test_a_batch_line_that_names_no_batch_is_a_cut(name: object) -> None:
    lines = written([(FIRST, Batch(("0",), {"prompt": ["a"]}))])
    lines[-1:] = [json.dumps({"batch": name, "rows": 1, "failed": 0}), *lines[-1:]]

    reader = reader_of(lines)

    assert list(reader.batches()) == [FIRST]
    assert reader.cut


def test_failed_rows_say_why() -> None:
    batch = Batch((), {}, failures={"7": Failure("draw", "RowError", "too dark")})

    (line,) = row_lines("draw-1", FIRST, batch)

    assert line["id"] == "7"
    assert line["failure"] == {"stage": "draw", "code": "RowError", "reason": "too dark"}


def test_a_newer_version_is_refused() -> None:
    line = json.dumps({"imgtool": "stream", "version": 99}, separators=(",", ":"))

    with pytest.raises(InputUnreadable, match="version 99"):
        read_header(line)


def test_a_header_nested_too_deep_to_read_is_refused_as_damaged() -> None:
    line = MARK + '"fields":' + "[" * 100_000 + "]" * 100_000 + "}"

    assert is_stream(line)
    with pytest.raises(InputUnreadable, match="line 1 of the stream on stdin"):
        read_header(line)


def test_ordinary_text_and_json_rows_are_no_stream() -> None:
    assert not is_stream("a red cube\n")
    assert not is_stream('{"prompt": "imgtool"}\n')


@given(st.text(), st.one_of(st.none(), st.integers(), st.floats(), st.booleans()))
def test_every_row_is_one_line_of_strict_json(prompt: str, value: object) -> None:
    batch = Batch(("0",), {"prompt": [prompt], "score.x": [value]})

    lines = written([(FIRST, batch)])

    assert len(lines) == 4
    row = json.loads(lines[1], parse_constant=lambda name: pytest.fail(name))
    assert row["prompt"] == prompt
    assert row["score.x"] == plain(value)


def test_numbers_that_json_lacks_become_null() -> None:
    assert plain({"a": [math.nan, math.inf, 1.5]}) == {"a": [None, None, 1.5]}
