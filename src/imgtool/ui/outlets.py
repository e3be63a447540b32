"""What leaves a run while it goes on: rows of its last stage, as their batches commit."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from imgtool.engine.events import BatchDone, RunStarted
from imgtool.engine.source import SOURCE_KEY
from imgtool.errors import ClosedPipe
from imgtool.stream import Header, StreamWriter, dumps, row_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgtool.batch import Batch
    from imgtool.engine.events import Event

QUEUED_BATCHES = 64
TAIL = "imgtool-tail"  # name of the thread that writes


class Outlet(Protocol):
    """Takes the rows of a run, batch by batch, in the order in which they commit."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """Array fields that the batches it is given must have, where they exist."""

    def start(self, header: Header) -> None:
        """The run begins."""

    def batch(self, instance: str, name: str, batch: Batch) -> None:
        """A batch of the last stage is committed."""

    def end(self) -> None:
        """Every batch has been given. Not called for a run that was stopped."""


@dataclass
class Tail:
    """Observer that reads batches of the last stage and hands them to outlets.

    It owns one thread, which alone calls the outlets: stages go on while pictures are written. An
    outlet's error is raised at the next event, which stops the run, or by `finish`.

    Attributes
    ----------
    outlets : given every batch, in this order.
    fields : names of the fields that rows have at the end; for the header.
    """

    outlets: Sequence[Outlet]
    fields: tuple[str, ...] = ()
    error: BaseException | None = None
    _label: str = ""
    _started: RunStarted | None = None
    _jobs: queue.Queue[BatchDone | None] = field(
        default_factory=lambda: queue.Queue(maxsize=QUEUED_BATCHES)
    )
    _thread: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        if self.error is not None:
            raise self.error
        if isinstance(event, RunStarted):
            self._start(event)
        elif isinstance(event, BatchDone) and event.label == self._label:
            self._jobs.put(event)

    def finish(self, whole: bool, patience_s: float | None = None) -> None:
        """Wait for the thread; `whole` says that the run was not stopped.

        Where `patience_s` is given, a thread that has not ended after about that time is left: who
        reads from it may read no more.

        Raises
        ------
        ImgtoolError, OSError : whatever an outlet raised.
        """
        if self._thread is not None:
            with suppress(queue.Full):
                self._jobs.put(None, timeout=patience_s)
                self._thread.join(patience_s)
        if self.error is not None:
            raise self.error
        if whole:
            for outlet in self.outlets:
                outlet.end()

    def _start(self, event: RunStarted) -> None:
        self._label = event.stages[-1].label if event.stages else "source"
        self._started = event
        instance = event.stages[-1].instance if event.stages else SOURCE_KEY
        header = Header(str(Path(event.store).absolute()), event.run, instance, self.fields)
        for outlet in self.outlets:
            outlet.start(header)
        self._thread = threading.Thread(target=self._work, name=TAIL, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        from imgtool.store import Store

        assert self._started is not None
        store = Store.open(Path(self._started.store), "r")
        wanted = {name for outlet in self.outlets for name in outlet.wanted}
        while (event := self._jobs.get()) is not None:
            if self.error is not None:
                continue  # drained, so that no lane waits for room in the queue
            try:
                batch = store.read(event.instance, event.name, wanted)
                for outlet in self.outlets:
                    outlet.batch(event.instance, event.name, batch)
            except BrokenPipeError:
                self.error = ClosedPipe("the reader of stdout has gone")
            except BaseException as err:  # noqa: BLE001 - raised again where the run can stop
                self.error = err


@dataclass
class StreamOutlet:
    """The framed stream, for a pipe or a file."""

    out: TextIO
    wanted: tuple[str, ...] = ()

    def start(self, header: Header) -> None:
        """Write the header."""
        self._writer = StreamWriter(self.out)
        self._writer.header(header)

    def batch(self, instance: str, name: str, batch: Batch) -> None:
        """Write rows, then the batch line."""
        self._writer.batch(instance, name, batch)

    def end(self) -> None:
        """Write the trailer."""
        self._writer.trailer()


@dataclass
class RowsOutlet:
    """Rows alone, one JSON object a line, for `--json`."""

    out: TextIO
    wanted: tuple[str, ...] = ()

    def start(self, header: Header) -> None:
        """Nothing: `--json` has no header."""

    def batch(self, instance: str, name: str, batch: Batch) -> None:
        """Write rows and failed rows."""
        for line in row_lines(instance, name, batch):
            self.out.write(dumps(line) + "\n")
        self.out.flush()

    def end(self) -> None:
        """Nothing: `--json` has no trailer."""


@dataclass
class Collected:
    """Keeps the first rows for a table at the end; the rest is only counted."""

    limit: int
    images: int = 0
    rows: list[dict[str, object]] = field(default_factory=list)
    pictures: list[object] = field(default_factory=list)
    count: int = 0

    @property
    def wanted(self) -> tuple[str, ...]:
        """Pictures, where previews are shown."""
        return ("image",) if self.images else ()

    def start(self, header: Header) -> None:
        """Nothing to do."""

    def batch(self, instance: str, name: str, batch: Batch) -> None:
        """Keep what the table shows."""
        room = max(0, self.limit - len(self.rows))
        self.rows += [line for line in row_lines(instance, name, batch)][:room]
        images = (row.values.get("image") for row in batch)
        shown = [image for image in images if image is not None]
        self.pictures += shown[: max(0, self.images - len(self.pictures))]
        self.count += len(batch)

    def end(self) -> None:
        """Nothing to do: the caller shows it."""
