"""Traces: a slice a batch on its stage's track."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from imgtool.batch import Failure
from imgtool.engine.events import BatchDone, BatchStarted, RowFailed, RunStarted, StageInfo
from imgtool.errors import OutputUnwritable
from imgtool.ui.trace import Trace

if TYPE_CHECKING:
    from pathlib import Path

START = RunStarted("demo", "s.zarr", (StageInfo("draw", "draw.toy", "draw-1"),))


def test_a_batch_is_a_slice_as_long_as_it_took(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "t.json")
    trace(START)
    trace(BatchStarted("draw", 0, "000000-a", 4, 1e9))
    trace(BatchDone("draw", "draw-1", 0, "000000-a", 4, 1, False, 1e9 + 0.5))
    trace.write()

    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    (batch,) = [event for event in events if event["ph"] == "X"]
    assert (batch["name"], batch["dur"], batch["args"]["rows"]) == ("batch 0", 500_000, 4)


def test_cached_batches_and_failures_are_instants(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "t.json")
    trace(START)
    trace(BatchDone("draw", "draw-1", 0, "000000-a", 4, 0, True, 1e9))
    trace(RowFailed("draw", "7", Failure("draw", "RowError", "dark")))

    names = [event["name"] for event in trace.slices if event["ph"] == "i"]
    assert names == ["cached 0", "failed 7"]


def test_a_trace_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    trace = Trace(tmp_path / "file" / "t.json")
    trace(START)

    with pytest.raises(OutputUnwritable):
        trace.write()
