"""How long rows of each stage took on this machine; `--plan` estimates from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgtool.engine.events import BatchDone, BatchStarted, RunStarted
from imgtool.paths import cache_dir

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.engine.events import Event

FORMAT = 1


def timings_file() -> Path:
    """Where they are kept: in the user's cache, since they are true of this machine alone."""
    return cache_dir() / "timings.json"


def seconds_per_row() -> dict[str, float]:
    """Stage id to seconds a row; a file that cannot be read holds none."""
    try:
        data = json.loads(timings_file().read_text(encoding="utf-8"))
        return {str(k): float(v) for k, v in data["seconds_per_row"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


@dataclass
class Timings:
    """Observer that measures computed batches; `write` keeps the newest figures."""

    found: dict[str, list[float]] = field(default_factory=dict)
    _stages: dict[str, str] = field(default_factory=dict)
    _open: dict[tuple[str, str], BatchStarted] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._stages = {stage.label: stage.stage for stage in event.stages}
        elif isinstance(event, BatchStarted):
            self._open[event.label, event.name] = event
        elif isinstance(event, BatchDone):
            started = self._open.pop((event.label, event.name), None)
            if started is not None and started.rows and not event.cached:
                each = (event.at - started.at) / started.rows
                self.found.setdefault(self._stages[event.label], []).append(each)

    def write(self) -> None:
        """Add what was measured to the file; nothing is written when nothing was computed."""
        if not self.found:
            return
        from imgtool.errors import ImgtoolError
        from imgtool.store.atomic import write_file

        means = {stage: sum(each) / len(each) for stage, each in self.found.items()}
        document = {"format": FORMAT, "seconds_per_row": {**seconds_per_row(), **means}}
        text = json.dumps(document, sort_keys=True) + "\n"
        try:
            write_file(timings_file(), text.encode())
        except ImgtoolError:  # a cache that cannot be written only costs an estimate
            return
