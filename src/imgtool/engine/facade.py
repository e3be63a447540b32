"""Plan and run requests: the one door to the engine, for the command line and for Python."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imgtool.engine import events
from imgtool.engine.local import END, Lane, Session
from imgtool.engine.make import make_models
from imgtool.engine.plan import resolve_instances, unique_labels
from imgtool.engine.request import RunRequest, Schedule, StreamSource
from imgtool.engine.result import RunResult
from imgtool.engine.source import (
    DEFAULT_ROWS,
    SOURCE_KEY,
    batches_leading_to,
    batches_of,
    commit_source,
    leading_to,
    no_row,
)
from imgtool.errors import InputEmpty, Interrupted, Status
from imgtool.runtime.context import Runtime
from imgtool.runtime.device import usable_cores
from imgtool.store import Store
from imgtool.store.keys import canonical
from imgtool.store.locks import shared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from imgtool.batch import Failure
    from imgtool.engine.plan import Instance
    from imgtool.registry import Registry

JOIN_S = 0.2
LEAVE_S = 3.0
RESIDENT_SHARE = 0.6


@dataclass
class _Collected:
    """An observer that keeps names of committed batches and failures."""

    batches: dict[str, list[str]] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.BatchDone):
            self.batches.setdefault(event.label, []).append(event.name)
        elif isinstance(event, events.RowFailed):
            self.failures[event.row_id] = event.failure


def prepare_runtime(request: RunRequest, registry: Registry, threads: int) -> Runtime:
    """The runtime that a request asks for."""
    return Runtime(
        registry=registry,
        device=request.device,
        dtype=request.dtype,
        attention=request.attention,
        deterministic=request.deterministic or request.row is not None,
        compute_batch=request.compute_batch,
        threads=threads,
        offline=request.offline,
    )


def execute(
    request: RunRequest, registry: Registry, observers: Iterable[events.Observer] = ()
) -> RunResult:
    """Run what is missing, and return when everything is committed.

    Raises
    ------
    InputEmpty : the input holds no rows, or none that leads to the one that was asked for.
    ImgtoolError : what else stopped the run; whatever was committed stays.
    Interrupted : Ctrl-C.
    """
    store = Store.open(request.store, "a")
    with shared(store.beside):
        return _executed(request, store, registry, observers)


def _executed(
    request: RunRequest,
    store: Store,
    registry: Registry,
    observers: Iterable[events.Observer],
) -> RunResult:
    record = store.run(request.name) or {}
    threads = int(record.get("threads") or usable_cores())
    runtime = prepare_runtime(request, registry, threads)
    source, source_fields, source_key = _open_source(request, store, registry)
    made = make_models(request.makers, registry, runtime, store)
    instances = resolve_instances(
        unique_labels(request.stages),
        source_fields,
        source_key,
        registry,
        runtime,
        made,
        request.marks,
    )
    for instance in instances:
        store.write_instance(instance.key, instance.attributes())
    collected = _Collected()
    session = Session(
        request, registry, runtime, store, (collected, *observers, notifier(registry))
    )
    session.emit(
        events.RunStarted(
            request.name,
            str(store.path),
            tuple(events.StageInfo(i.label, i.spec.id, i.key) for i in instances),
        )
    )
    try:
        _run(session, instances, source, threads)
        if request.row is not None and not collected.batches.get("source"):
            raise no_row(request.row)
    except Exception as err:
        # Plugins alone: the caller is told by the error.
        status = int(getattr(err, "status", Status.STOPPED))
        ended = events.RunFinished(request.name, status, len(collected.failures))
        registry.notify("imgtool_run_finished", run=ended)
        raise
    failures = _failures(store, instances, collected)
    ordered = {label: tuple(sorted(names)) for label, names in collected.batches.items()}
    for label in ("source", *(i.label for i in instances)):
        ordered.setdefault(label, ())
    result = RunResult(
        store, request.name, instances, ordered, failures, source_key, tuple(source_fields)
    )
    session.emit(events.RunFinished(request.name, int(result.status), len(failures)))
    return result


def _open_source(
    request: RunRequest, store: Store, registry: Registry
) -> tuple[Iterator[str], Sequence[str], str]:
    """Names of source batches as they are committed, their fields, and their instance."""
    if isinstance(request.rows, StreamSource):
        names = batches_leading_to(store, request.rows, request.row)
        return names, request.rows.fields, request.rows.instance
    rows = iter(leading_to(request.rows, request.row))
    first = next(rows, None)
    if first is None and request.row is not None:
        raise no_row(request.row)
    if first is None:
        raise InputEmpty("the input holds no rows", "Give a prompt, a file or a stream")
    fields = tuple(name for name in first if name != "id")
    size = request.batch or max(1, DEFAULT_ROWS // expansion(request, registry))
    whole = itertools.chain((first,), rows)
    return (commit_source(store, b) for b in batches_of(whole, size)), fields, SOURCE_KEY


def expansion(request: RunRequest, registry: Registry) -> int:
    """Rows that one source row becomes; a stage that makes children says how many by `n`."""
    total = 1
    for use in request.stages:
        param = registry.spec("stage", use.use).param("n")
        if param is not None:
            total *= max(1, int(str(use.params.get("n", param.default))))
    return total


def _run(
    session: Session, instances: Sequence[Instance], source: Iterator[str], threads: int
) -> None:
    lanes = [Lane(session, instance) for instance in instances]
    first: list[Any] = []
    for lane in lanes:
        feeds = (
            lanes[lane.instance.upstream].outboxes if lane.instance.upstream is not None else first
        )
        feeds.append(lane.inbox)
    feeder = _Feeder(session, source, first, instances, threads)
    try:
        if _in_turn(session, lanes):
            feeder.start()
            feeder.wait()
            for lane in lanes:
                lane.start()
                _wait([lane])
        else:
            for worker in (feeder, *lanes):
                worker.start()
            feeder.wait()
            _wait(lanes)
    except KeyboardInterrupt:
        session.stopped.set()
        feeder.wait()
        _wait(lanes, time.monotonic() + LEAVE_S)
        raise Interrupted("interrupted; the same command goes on from here") from None
    if session.error is not None:
        raise session.error


def _in_turn(session: Session, lanes: Sequence[Lane]) -> bool:
    """Whether stages must run one after another, since together they do not fit in memory."""
    if session.request.schedule is not Schedule.AUTO:
        return session.request.schedule is Schedule.STAGE
    if isinstance(session.request.rows, StreamSource):
        return False
    wanted = sum(lane.weight_bytes() for lane in lanes)
    if not wanted:
        return False
    from imgtool.runtime.memory import available_bytes

    return wanted > RESIDENT_SHARE * available_bytes(str(session.runtime.torch_device))


def _wait(lanes: Sequence[Lane], until: float | None = None) -> None:
    """Join, waking up often so that Ctrl-C is heard."""
    for lane in lanes:
        while lane.is_alive() and (until is None or time.monotonic() < until):
            lane.join(JOIN_S)


class _Feeder(threading.Thread):
    """Commits source batches ahead of the first stage, then the run's record."""

    def __init__(
        self,
        session: Session,
        source: Iterator[str],
        outboxes: list[Any],
        instances: Sequence[Instance],
        threads: int,
    ) -> None:
        super().__init__(name="imgtool-source", daemon=True)
        self.session, self.source, self.outboxes = session, source, outboxes
        self.instances, self.threads = instances, threads

    def run(self) -> None:
        """Feed until the source ends; an error goes to the session, END always goes on."""
        names: list[str] = []
        try:
            for name in self.source:
                if self.session.stopped.is_set():
                    break
                names.append(name)
                self.session.emit(
                    events.BatchDone(
                        "source",
                        SOURCE_KEY,
                        int(name.split("-", 1)[0]),
                        name,
                        0,
                        0,
                        True,
                        time.monotonic(),
                    )
                )
                for outbox in self.outboxes:
                    outbox.put(name)
            else:
                self._record(names)
        except BaseException as err:  # noqa: BLE001 - the border of this thread
            self.session.abort(err)
        for outbox in self.outboxes:
            outbox.put(END)

    def wait(self) -> None:
        """Join, or leave it to wait for rows that may never come where the run has stopped."""
        while self.is_alive() and not self.session.stopped.is_set():
            self.join(JOIN_S)
        for outbox in self.outboxes:
            outbox.put(END)

    def _record(self, names: list[str]) -> None:
        request = self.session.request
        if request.row is not None:
            return
        source = request.rows.instance if isinstance(request.rows, StreamSource) else SOURCE_KEY
        record = {
            **request.attributes,
            "stages": [
                {
                    "label": i.label,
                    "stage": i.spec.id,
                    "instance": i.key,
                    "params": dict(i.params),
                    "upstream": i.upstream_key,
                    "barrier": i.is_barrier,
                }
                for i in self.instances
            ],
            "source": source,
            "batches": names,
            "threads": self.threads,
            "compute_batch": request.compute_batch,
        }
        keep_pin(self.session.store, request.name, record)
        self.session.store.write_run(request.name, record)


def keep_pin(store: Store, name: str, record: dict[str, Any]) -> None:
    """Pin the new `record` of a run where the old one is; an old one of other rows gets a new name.

    A file holds a stream of the pinned rows, and commands that read other rows from their stdin
    have the same name.
    """
    old = store.run(name) or {}
    if not old.get("pinned"):
        return
    if all(old[key] == record[key] for key in ("stages", "source", "batches")):
        record["pinned"] = True
        return
    store.write_run(f"{name}-{hashlib.blake2b(canonical(old), digest_size=4).hexdigest()}", old)


def _failures(
    store: Store, instances: Sequence[Instance], collected: _Collected
) -> dict[str, Failure]:
    """Failures of this run, those of batches found committed included."""
    found = dict(collected.failures)
    for instance in instances:
        if not store.has_failures(instance.key):
            continue
        for name in collected.batches.get(instance.label, ()):
            found |= store.failures(instance.key, name)
    return found


def notifier(registry: Registry) -> events.Observer:
    """An observer that calls the plugins' event hooks."""

    def call(event: events.Event) -> None:
        match event:
            case events.RunStarted():
                registry.notify("imgtool_run_started", run=event)
            case events.StageOpened():
                registry.notify("imgtool_stage_opened", stage=event)
            case events.BatchDone():
                registry.notify("imgtool_batch_done", batch=event)
            case events.RowFailed():
                registry.notify(
                    "imgtool_row_failed",
                    stage=event.label,
                    row_id=event.row_id,
                    failure=event.failure,
                )
            case events.RunFinished():
                registry.notify("imgtool_run_finished", run=event)

    return call
