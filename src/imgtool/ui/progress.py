"""Progress on stderr: one bar a stage, or one JSON object an event."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, TextIO

from imgtool.engine.events import (
    BatchAdvanced,
    BatchDone,
    RowFailed,
    RunFinished,
    RunStarted,
    StageOpened,
)
from imgtool.stream import dumps

if TYPE_CHECKING:
    from imgtool.engine.events import Event

WIDTH = 24
REDRAW_S = 0.1
SCHEMA = "imgtool.progress/1"


@dataclass
class JsonProgress:
    """Every event as one JSON object a line."""

    out: TextIO

    def __call__(self, event: Event) -> None:
        line = {"schema": SCHEMA, "event": type(event).__name__, **asdict(event)}
        self.out.write(dumps(line) + "\n")
        self.out.flush()


def error_line(code: str, status: int, message: str, hint: str) -> str:
    """What stopped a command, as the last line beside the events: `code` names the error."""
    error = {"code": code, "status": status, "message": message, "hint": hint}
    return dumps({"schema": SCHEMA, "event": "Error", **error})


@dataclass
class Bar:
    """One line that is drawn again: batches done of each stage, failures, time left.

    Nothing is drawn for a run in which everything was done before.
    """

    out: TextIO
    totals: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    failed: int = 0
    computed: int = 0
    _started: float = 0.0
    _drawn: float = 0.0
    _shown: int = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.totals = dict.fromkeys((stage.label for stage in event.stages), 0)
            self.done = dict.fromkeys(self.totals, 0)
            self._started = time.monotonic()
        elif isinstance(event, StageOpened):
            self._draw(now=True)
        elif isinstance(event, BatchAdvanced):
            self.parts[event.label] = (event.done, event.total)
            self._draw()
        elif isinstance(event, BatchDone) and event.label == "source":
            # Every source batch becomes one batch of each stage; more may still be coming.
            self.totals = {label: total + 1 for label, total in self.totals.items()}
        elif isinstance(event, BatchDone):
            self.done[event.label] = self.done.get(event.label, 0) + 1
            self.parts.pop(event.label, None)
            self.computed += not event.cached
            self._draw()
        elif isinstance(event, RowFailed):
            self.failed += 1
        elif isinstance(event, RunFinished):
            self.clear()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self.out.write("\r" + " " * self._shown + "\r")
            self.out.flush()
            self._shown = 0

    def _draw(self, now: bool = False) -> None:
        at = time.monotonic()
        is_idle = not self.computed and not self.parts
        if not now and (is_idle or at - self._drawn < REDRAW_S):
            return
        self._drawn = at
        # A line that wraps cannot be drawn over.
        text = self.line(at)[: shutil.get_terminal_size().columns - 1]
        self.out.write("\r" + text.ljust(self._shown))
        self.out.flush()
        self._shown = max(self._shown, len(text))

    def _part(self, label: str) -> str:
        done, total = self.parts.get(label, (0, 0))
        return f" ({done}/{total})" if total else ""

    def line(self, at: float) -> str:
        """The line as it stands at the time `at`."""
        stages = "  ".join(
            f"{label} {self.done.get(label, 0)}/{total or '?'}{self._part(label)}"
            for label, total in self.totals.items()
        )
        total = sum(self.totals.values())
        done = sum(self.done.values()) + sum(part / whole for part, whole in self.parts.values())
        share = done / total if total else 0.0
        bar = ("#" * round(WIDTH * min(share, 1.0))).ljust(WIDTH, ".")
        left = ""
        if 0 < share < 1 and done:
            left = f"  {_clock((at - self._started) * (1 - share) / share)} left"
        failed = f"  {self.failed} failed" if self.failed else ""
        return f"[{bar}] {stages}{failed}{left}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
