"""Bar and JSON progress, from events alone."""

from __future__ import annotations

import io
import json

from imgtool.batch import Failure
from imgtool.engine.events import (
    BatchAdvanced,
    BatchDone,
    Event,
    RowFailed,
    RunFinished,
    RunStarted,
    StageInfo,
    StageOpened,
)
from imgtool.ui.progress import Bar, JsonProgress

START = RunStarted("demo", "s.zarr", (StageInfo("draw", "draw.toy", "draw-1"),))


def done(label: str, number: int, cached: bool = False) -> BatchDone:
    """A batch of one row."""
    return BatchDone(label, f"{label}-1", number, f"{number:06d}-a", 1, 0, cached, 0.0)


def drawn(*events: Event) -> tuple[Bar, str]:
    """The bar after `events`, and what it wrote."""
    bar = Bar(io.StringIO())
    for event in events:
        bar(event)
    return bar, bar.out.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_line_counts_batches_of_each_stage_and_failures() -> None:
    failed = RowFailed("draw", "0", Failure("draw", "RowError", "dark"))

    bar, _ = drawn(START, done("source", 0), done("source", 1), done("draw", 0), failed)

    assert "draw 1/2" in bar.line(1.0)
    assert "1 failed" in bar.line(1.0)


def test_line_shows_how_far_a_long_batch_is() -> None:
    half = (START, done("source", 0), BatchAdvanced("draw", 0, 6, 12))

    bar, text = drawn(*half)
    after, _ = drawn(*half, done("draw", 0))

    assert "draw 0/1 (6/12)" in text
    assert "[############............]" in bar.line(1.0)
    assert "1:40 left" in bar.line(bar._started + 100.0)
    assert "draw 1/1" in after.line(1.0)
    assert "(" not in after.line(1.0)


def test_nothing_is_drawn_when_everything_was_done_before() -> None:
    _, text = drawn(START, done("source", 0), done("draw", 0, cached=True))

    assert text == ""


def test_the_line_is_taken_away_at_the_end() -> None:
    opened = StageOpened("draw", 0.1)

    _, text = drawn(START, opened, done("source", 0), done("draw", 0), RunFinished("demo", 0, 0))

    assert text.endswith("\r")
    assert text.rsplit("\r", 2)[1].strip() == ""


def test_json_progress_is_one_object_an_event() -> None:
    out = io.StringIO()
    observer = JsonProgress(out)
    for event in (START, done("draw", 0)):
        observer(event)

    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["schema"], first["event"]) == ("imgtool.progress/1", "RunStarted")
    assert (second["event"], second["number"], second["cached"]) == ("BatchDone", 0, False)
