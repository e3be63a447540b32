"""The local engine: a lane for each stage, streaming through the store, safe to kill anywhere.

Lanes hand one another names of committed batches, never arrays: a stage gets exactly what was
stored, memory stays flat, and whatever another process has finished is found by its name.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from imgtool.declared import params_type
from imgtool.engine import events
from imgtool.engine.isolate import passed_through, process_isolated
from imgtool.engine.request import OnError, StreamSource
from imgtool.engine.retry import Retry
from imgtool.engine.source import rows_of_lineage
from imgtool.errors import StageFailed
from imgtool.params import validate
from imgtool.runtime.openmp import dismiss_team
from imgtool.store.layout import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imgtool.batch import Batch, Failure
    from imgtool.engine.plan import Instance
    from imgtool.engine.request import RunRequest
    from imgtool.registry import Registry
    from imgtool.runtime.context import Runtime
    from imgtool.stages import Stage
    from imgtool.store import Store

END = None
CLAIM_POLL_S = 0.1
PATIENCE_S = 1.0


@dataclass
class Session:
    """What the lanes of one run share. The first error stops all of them."""

    request: RunRequest
    registry: Registry
    runtime: Runtime
    store: Store
    observers: Sequence[events.Observer]
    error: BaseException | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    retry: Retry = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.retry = Retry(self.store)

    def emit(self, event: events.Event) -> None:
        """Tell every observer, one event at a time."""
        with self._lock:
            for observer in self.observers:
                observer(event)

    def abort(self, error: BaseException) -> None:
        """Keep the first error and stop."""
        with self._lock:
            self.error = self.error or error
        self.stopped.set()


Inbox = queue.SimpleQueue  # unbounded on purpose: it holds names


class Lane(threading.Thread):
    """Runs one instance. Owns its stage, which is opened when a batch is missing or not there soon.

    Attributes
    ----------
    inbox : names of upstream batches, then END.
    outboxes : inboxes of the lanes that go on from here.
    """

    def __init__(self, session: Session, instance: Instance) -> None:
        super().__init__(name=f"imgtool-{instance.label}", daemon=True)
        self.session, self.instance = session, instance
        self.inbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.outboxes: list[queue.SimpleQueue[str | None]] = []
        # Where rows are tried again, here or upstream of a pipe, batches go during the run.
        request = session.request
        changing = request.retry_failed or isinstance(request.rows, StreamSource)
        self.done = set() if changing else session.store.names(instance.key)
        self._stage: Stage[Any] | None = None
        self._writer = _Writer(self)

    def run(self) -> None:
        """Attempt every batch; an error goes to the session, END always goes on."""
        try:
            with ExitStack() as stack:
                stack.callback(self._close)
                stack.callback(self._writer.finish)
                if self.instance.is_barrier:
                    self._run_barrier()
                else:
                    self._run_batches()
        except BaseException as err:  # noqa: BLE001 - a lane is a border: nobody above it sees its errors
            self.session.abort(err)
        for outbox in self.outboxes:
            outbox.put(END)

    def deliver(self, name: str, rows: int, failed: int, cached: bool) -> None:
        """Announce a committed batch and hand it to the lanes that follow."""
        self.session.emit(
            events.BatchDone(
                self.instance.label,
                self.instance.key,
                int(name.split("-", 1)[0]),
                name,
                rows,
                failed,
                cached,
                time.monotonic(),
            )
        )
        for outbox in self.outboxes:
            outbox.put(name)

    def commit(self, name: str, batch: Batch, upstream: tuple[str, str], journal: str = "") -> None:
        """Write a batch, drop the journal of a name, and announce and deliver it.

        Raises
        ------
        StageFailed : rows failed in it, and the user wants to stop then.
        """
        key, label, session = self.instance.key, self.instance.label, self.session
        session.store.write(key, name, batch, upstream, self._array_fields())
        if journal:
            session.store.drop_journal(key, journal)
        for row_id, failure in batch.failures.items():
            session.emit(events.RowFailed(label, row_id, failure))
        self.deliver(name, len(batch), len(batch.failures), cached=False)
        if session.request.on_error is OnError.STOP:
            self._stop_at(batch.failures)

    def _deliver_cached(self, name: str) -> None:
        self.deliver(name, 0, 0, cached=True)
        store, key = self.session.store, self.instance.key
        if self.session.request.on_error is OnError.STOP and store.has_failures(key):
            self._stop_at(store.failures(key, name))

    def _stop_at(self, failures: Mapping[str, Failure]) -> None:
        for row_id, failure in failures.items():
            raise StageFailed(
                f"stage {self.instance.label!r}: row {row_id}: {failure.reason}",
                "--on-error skip goes on with the other rows; --retry-failed tries them again",
            )

    def _incoming(self) -> Iterator[str]:
        name = self._first()
        while name is not END and not self.session.stopped.is_set():
            yield name
            name = self.inbox.get()

    def _first(self) -> str | None:
        # Committed batches are announced at once. Where none comes, those before are computing:
        # that is the time to load what this stage needs.
        try:
            return self.inbox.get(timeout=PATIENCE_S)
        except queue.Empty:
            self._open()
            return self.inbox.get()

    def _run_batches(self) -> None:
        claimed_elsewhere: deque[str] = deque()
        for upstream_name in self._incoming():
            if not self._attempt(upstream_name):
                claimed_elsewhere.append(upstream_name)
        while claimed_elsewhere and not self.session.stopped.wait(CLAIM_POLL_S):
            for _ in range(len(claimed_elsewhere)):
                upstream_name = claimed_elsewhere.popleft()
                if not self._attempt(upstream_name):
                    claimed_elsewhere.append(upstream_name)

    def _attempt(self, upstream_name: str) -> bool:
        """Deliver the batch made from `upstream_name`; False while another process makes it."""
        store, key = self.session.store, self.instance.key
        name = self.instance.output_name(upstream_name)
        above = {(self.instance.upstream_key, upstream_name)}
        if self._is_done(name, above):
            self._deliver_cached(name)
            return True
        stack = ExitStack()
        claim = store.claim(f"{key}.{name}")
        if claim is None:
            return False
        stack.enter_context(claim)
        if self._is_done(name, above):
            stack.close()
            self._deliver_cached(name)
            return True
        try:
            if store.has(key, name):
                self.session.retry.withdraw(key, name)
            result = self._compute(name, self._read(upstream_name))
        except BaseException:
            stack.close()
            raise
        self._writer.put(name, result, (self.instance.upstream_key, upstream_name), stack)
        return True

    def _is_done(self, name: str, above: set[tuple[str, str]]) -> bool:
        """Whether a batch made from those `above` is committed, and is not to be tried again."""
        session, key = self.session, self.instance.key
        if name not in self.done and not session.store.has(key, name):
            return False
        return not (session.request.retry_failed and session.retry.is_due(key, name, above))

    def _run_barrier(self) -> None:
        upstream_names = list(self._incoming())
        if self.session.stopped.is_set():
            return
        upstream_names.sort()
        names = self.instance.output_names(upstream_names)
        store, key = self.session.store, self.instance.key
        above = {(self.instance.upstream_key, name) for name in upstream_names}
        while not all(self._is_done(name, above) for name in names):
            claim = store.claim(f"{key}.barrier-{names[0]}")
            if claim is not None:
                with claim:
                    self._write_barrier(upstream_names, names)
                return
            if self.session.stopped.wait(CLAIM_POLL_S):
                return
        for name in names:
            self._deliver_cached(name)

    def _write_barrier(self, upstream_names: list[str], names: list[str]) -> None:
        from imgtool.batch import concatenate

        parts = [self._read(name) for name in upstream_names]
        owner = {row_id: at for at, part in enumerate(parts) for row_id in part.ids}
        whole = concatenate(parts)
        result = self._compute(names[0], whole)
        for at, (upstream_name, name) in enumerate(zip(upstream_names, names, strict=True)):
            mine = [i for i, parent in enumerate(result.parents) if owner[parent] == at]
            failed = {r: why for r, why in result.failures.items() if owner[r] == at}
            part = replace(result.keep(mine), number=parts[at].number, failures=failed)
            if self.session.store.has(self.instance.key, name):
                if self._holds(name, part):
                    self._deliver_cached(name)
                    continue
                self.session.retry.withdraw(self.instance.key, name)
            self.commit(name, part, (self.instance.upstream_key, upstream_name))
        # All notes are under the first name, and of use until the last part is committed.
        self.session.store.drop_journal(self.instance.key, names[0])

    def _holds(self, name: str, part: Batch) -> bool:
        """Whether a committed part of a barrier is what all rows give now.

        One that was made when other rows had failed may not be; arrays are not compared.
        """
        kept = self.session.store.read(self.instance.key, name)
        return (
            not self._array_fields()
            and (kept.ids, kept.parents, kept.failures) == (part.ids, part.parents, part.failures)
            and all(
                plain(values) == plain(part.columns.get(field))
                for field, values in kept.columns.items()
            )
        )

    def _read(self, upstream_name: str) -> Batch:
        wanted = [f.name for f in self.instance.spec.consumes if f.is_array]
        batch = self.session.store.read(self.instance.upstream_key, upstream_name, wanted)
        batch = rows_of_lineage(batch, self.session.request.row)
        return replace(batch, parents=batch.ids, failures={})

    def _array_fields(self) -> list[str]:
        return [f.name for f in self.instance.spec.produces if f.is_array]

    def _compute(self, name: str, batch: Batch) -> Batch:
        label, request = self.instance.label, self.session.request
        if not len(batch):
            return batch
        stage = self._open()
        self.session.emit(
            events.BatchStarted(label, batch.number, name, len(batch), time.monotonic())
        )
        stage.runtime.journal = self.session.store.journal(self.instance.key, name)
        stage.runtime.watch(
            lambda done, total: self.session.emit(
                events.BatchAdvanced(label, batch.number, done, total)
            )
        )
        result = process_isolated(stage, label, batch)
        if result.failures and request.on_error is OnError.PASS:
            result = passed_through(result, batch)
        return rows_of_lineage(result, request.row)

    def _open(self) -> Stage[Any]:
        if self._stage is None:
            started = time.monotonic()
            spec = self.instance.spec
            stage_class: Any = self.session.registry.resolve("stage", spec.owned)
            params: Any = validate(params_type(stage_class), dict(self.instance.params))
            stage: Stage[Any] = stage_class()
            stage.runtime = self.session.runtime.for_stage()
            stage.params = params
            stage.open(params, stage.runtime)
            dismiss_team()  # it may wait long for its first turn
            self._stage = stage
            self.session.emit(events.StageOpened(self.instance.label, time.monotonic() - started))
        return self._stage

    def weight_bytes(self) -> int:
        """Memory that the opened stage would hold, by its own word."""
        spec = self.instance.spec
        if not any(param.model_task for param in spec.params):
            return 0
        stage_class: Any = self.session.registry.resolve("stage", spec.owned)
        params: Any = validate(params_type(stage_class), dict(self.instance.params))
        return int(stage_class.weight_bytes(params, self.session.runtime))

    def _close(self) -> None:
        if self._stage is not None:
            self._stage.close()


class _Writer(threading.Thread):
    """Commits one batch while its lane computes the next. Holds at most one beside its own."""

    def __init__(self, lane: Lane) -> None:
        super().__init__(name=f"{lane.name}-writer", daemon=True)
        self.lane = lane
        self.jobs: queue.Queue[tuple[str, Batch, tuple[str, str], ExitStack] | None]
        self.jobs = queue.Queue(maxsize=1)

    def put(self, name: str, batch: Batch, upstream: tuple[str, str], claim: ExitStack) -> None:
        """Queue a batch; its claim is released when it is committed or given up."""
        if not self.is_alive():
            self.start()
        self.jobs.put((name, batch, upstream, claim))

    def finish(self) -> None:
        """Wait until everything queued is committed."""
        if self.is_alive():
            self.jobs.put(END)
            self.join()

    def run(self) -> None:
        """Commit until END; after an error only release claims."""
        while (job := self.jobs.get()) is not END:
            name, batch, upstream, claim = job
            with claim:
                if self.lane.session.error is None:
                    try:
                        self.lane.commit(name, batch, upstream, journal=name)
                    except BaseException as err:  # noqa: BLE001 - the lane's border, in its second thread
                        self.lane.session.abort(err)
