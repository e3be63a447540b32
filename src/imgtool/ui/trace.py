"""A Perfetto trace of a run: one track a stage, one slice a batch and an opening."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgtool.engine.events import BatchDone, BatchStarted, RowFailed, RunStarted, StageOpened

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.engine.events import Event


@dataclass
class Trace:
    """Observer that keeps slices and writes them, in Chrome's JSON trace format, by `write`.

    Attributes
    ----------
    slices : trace events; times in microseconds since the run began.
    """

    path: Path
    slices: list[dict[str, object]] = field(default_factory=list)
    _start: float | None = None
    _tracks: dict[str, int] = field(default_factory=dict)
    _open: dict[tuple[str, str], float] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        if self._start is None:
            self._start = time.monotonic()
        if isinstance(event, RunStarted):
            self._name("process_name", 0, event.run)
            for stage in event.stages:
                self._track(stage.label)
        elif isinstance(event, StageOpened):
            self._slice(event.label, "open", time.monotonic() - event.seconds, event.seconds, {})
        elif isinstance(event, BatchStarted):
            self._open[event.label, event.name] = event.at
        elif isinstance(event, BatchDone):
            self._batch(event)
        elif isinstance(event, RowFailed):
            self._instant(event.label, f"failed {event.row_id}", {"reason": event.failure.reason})

    def write(self) -> None:
        """Write the file, whole or not at all.

        Raises
        ------
        OutputUnwritable : the file cannot be written.
        """
        from imgtool.store.atomic import write_file

        # Traces of the commands of one pipe can be laid side by side by their common clock.
        document = {
            "displayTimeUnit": "ms",
            "otherData": {"monotonic_start_s": self._start or 0.0},
            "traceEvents": self.slices,
        }
        write_file(self.path, (json.dumps(document, ensure_ascii=False) + "\n").encode())

    def _batch(self, event: BatchDone) -> None:
        about = {"rows": event.rows, "failed": event.failed, "batch": event.name}
        start = self._open.pop((event.label, event.name), None)
        if event.cached or start is None:
            self._instant(event.label, f"cached {event.number}", about, at=event.at)
        else:
            self._slice(event.label, f"batch {event.number}", start, event.at - start, about)

    def _slice(
        self, label: str, name: str, start: float, seconds: float, about: dict[str, object]
    ) -> None:
        self.slices.append(
            {
                "ph": "X",
                "name": name,
                "cat": "stage",
                "pid": 1,
                "tid": self._track(label),
                "ts": self._micros(start),
                "dur": max(0, round(seconds * 1e6)),
                "args": about,
            }
        )

    def _instant(
        self, label: str, name: str, about: dict[str, object], at: float | None = None
    ) -> None:
        self.slices.append(
            {
                "ph": "i",
                "s": "t",
                "name": name,
                "cat": "stage",
                "pid": 1,
                "tid": self._track(label),
                "ts": self._micros(at or time.monotonic()),
                "args": about,
            }
        )

    def _track(self, label: str) -> int:
        if label not in self._tracks:
            self._tracks[label] = len(self._tracks) + 1
            self._name("thread_name", self._tracks[label], label)
        return self._tracks[label]

    def _name(self, kind: str, track: int, name: str) -> None:
        self.slices.append(
            {
                "ph": "M",
                "name": kind,
                "pid": 1,
                "tid": track,
                "args": {"name": name},
            }
        )

    def _micros(self, at: float) -> int:
        assert self._start is not None
        return max(0, round((at - self._start) * 1e6))
