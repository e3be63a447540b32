"""A Perfetto trace of a run: one track a stage, one slice a batch and an opening.

Times are those of the machine's monotonic clock, and each process has its own tracks: the events
of the commands of a pipe, put into one list, lie as they were.
"""

from __future__ import annotations

import json
import os
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
    slices : trace events; times in microseconds of the monotonic clock.
    """

    path: Path
    slices: list[dict[str, object]] = field(default_factory=list)
    _tracks: dict[str, int] = field(default_factory=dict)
    _open: dict[tuple[str, str], float] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
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

        document = {"displayTimeUnit": "ms", "traceEvents": self.slices}
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
                "pid": os.getpid(),
                "tid": self._track(label),
                "ts": round(start * 1e6),
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
                "pid": os.getpid(),
                "tid": self._track(label),
                "ts": round((at or time.monotonic()) * 1e6),
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
                "pid": os.getpid(),
                "tid": track,
                "args": {"name": name},
            }
        )
