"""Run stages over rows for a command: request, observers, outlets, status."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgtool.cli.consent import may_download
from imgtool.cli.loaded import load_registry
from imgtool.cli.output import Output
from imgtool.cli.place import run_name, store_path
from imgtool.errors import ImgtoolError, Interrupted, Status, counted
from imgtool.ui.progress import Bar, JsonProgress
from imgtool.ui.timings import Timings, seconds_per_row
from imgtool.ui.trace import Trace
from imgtool.unnamed import evict, in_use, touch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import click

    from imgtool.cli.options import RunOptions
    from imgtool.cli.sources import Source
    from imgtool.engine.request import RunRequest
    from imgtool.engine.result import RunResult
    from imgtool.pipeline import MakerUse, StageUse
    from imgtool.registry import Registry
    from imgtool.ui.deps import DepsFile
    from imgtool.ui.outlets import Outlet

log = logging.getLogger("imgtool.cli")

PATIENCE_S = 1.0  # with a reader of stdout, once the run is to stop


@dataclass(frozen=True)
class Job:
    """Stages over a source, under a name.

    Attributes
    ----------
    base : what the run is called before anything is added to it.
    attributes : further facts for the run's record.
    exact_name : `base` is the whole name.
    is_end : the rows are not meant for another command: no stream is written.
    files : files beside those of the source that say what to do.
    """

    base: str
    stages: tuple[StageUse, ...]
    source: Source
    makers: tuple[MakerUse, ...] = ()
    attributes: Mapping[str, object] = field(default_factory=dict)
    exact_name: bool = False
    is_end: bool = False
    files: tuple[Path, ...] = ()


def perform(ctx: click.Context, job: Job, options: RunOptions) -> int:
    """Plan or run a job; the exit status.

    Raises
    ------
    ImgtoolError : what stopped it.
    """
    registry = load_registry(ctx)
    output = Output.of(options, streams=not job.is_end)
    stages = with_pictures(job, options, output, registry)
    request = request_for(job, stages, options, output, registry)
    if options.plan:
        from imgtool.cli.plans import show_plan
        from imgtool.engine.planned import plan

        show_plan(plan(request, registry, seconds_per_row()), output)
        return Status.DONE
    outlets = file_outlets(options, stages, registry)
    files = [*job.source.files, *job.files]
    deps = _deps_file(ctx, options, files)
    with in_use(request.store):
        outlets += _shown(output)
        if not stages and job.source.is_committed:
            status = _hand_on(job, request, outlets, output)
        else:
            status = _run(job, request, options, output, registry, outlets)
    job.source.check_whole()
    if deps is not None:
        from imgtool.cli.prerequisites import param_files
        from imgtool.ui.exports import written

        files += param_files(request, registry)
        deps.add(written(outlets), files, whole=status == Status.DONE)
    _tidy_cache()
    return status


def _tidy_cache() -> None:
    """Keep the cache within its limit; what hinders that is not the command's failure."""
    try:
        evict()
    except (ImgtoolError, OSError) as err:
        log.warning("the cache of unnamed runs was not tidied: %s", err)


def request_for(
    job: Job, stages: Sequence[StageUse], options: RunOptions, output: Output, registry: Registry
) -> RunRequest:
    """What the engine is asked for."""
    from imgtool.engine.request import OnError, RunRequest, Schedule

    uses: tuple[MakerUse | StageUse, ...] = (*job.makers, *job.stages)
    given = [(use.use, sorted(use.params.items(), key=str)) for use in uses]
    name = (
        job.base
        if job.exact_name and not options.name
        else run_name(options, job.base, given, job.source.what)
    )
    return RunRequest(
        stages=tuple(stages),
        rows=job.source.rows,
        store=store_path(options, job.source.store),
        name=name,
        makers=job.makers,
        device=options.device,
        dtype=options.dtype,
        attention=options.attention,
        deterministic=options.deterministic,
        batch=options.batch,
        compute_batch=options.compute_batch,
        on_error=OnError(options.on_error),
        retry_failed=options.retry_failed,
        row=options.row,
        schedule=Schedule(options.schedule),
        offline=job.source.untrusted or not may_download((*job.makers, *stages), registry),
        attributes={**job.attributes, **({"pinned": True} if output.keeps_stream else {})},
    )


def with_pictures(
    job: Job, options: RunOptions, output: Output, registry: Registry
) -> tuple[StageUse, ...]:
    """The job's stages, with a `decode` at the end where pictures are wanted and latents come."""
    if not (options.output or options.sheet or output.previews):
        return job.stages
    have = fields_after(job, job.stages, registry)
    if "image" in have or "latents" not in have:
        return job.stages
    from imgtool.pipeline import StageUse

    return (*job.stages, StageUse(use="decode", label="decode", params=_decoder(job, registry)))


def fields_after(job: Job, stages: Sequence[StageUse], registry: Registry) -> set[str]:
    """Names of the fields that rows have after the last of `stages`."""
    have = set(job.source.fields)
    made: dict[str, set[str]] = {}
    for use in stages:
        base = made.get(use.upstream, set()) if use.upstream else have
        have = base | {item.name for item in registry.spec("stage", use.use).produces}
        made[use.label] = have
    return have


def _decoder(job: Job, registry: Registry) -> dict[str, object]:
    """The model of the stage that makes the latents decodes them too."""
    for use in _lineage(job.stages):
        spec = registry.spec("stage", use.use)
        param = spec.param("model")
        if param is not None and "latents" in {item.name for item in spec.produces}:
            return {"model": use.params.get("model", param.default)}
    return {}


def _lineage(stages: Sequence[StageUse]) -> Iterator[StageUse]:
    """The last stage, the one whose rows it takes, and so on back to the first."""
    from imgtool.engine.plan import unique_labels

    wanted = None
    for use in reversed(unique_labels(stages)):
        if wanted in (None, use.label):
            yield use
            wanted = use.upstream


def file_outlets(
    options: RunOptions, stages: Sequence[StageUse], registry: Registry
) -> list[Outlet]:
    """What goes to files. A place that cannot be written is refused before anything is loaded."""
    outlets: list[Outlet] = []
    if options.output:
        from imgtool.ui.exports import PictureOutlet

        exporters = {item.name: item for item in registry.components("exporter")}
        which = result_field(stages, registry)
        outlets.append(PictureOutlet(options.output, options.metadata, which, exporters))
    if options.sheet:
        from imgtool.ui.exports import SheetOutlet, check_pattern

        check_pattern(str(options.sheet))
        outlets.append(SheetOutlet(options.sheet))
    return outlets


def result_field(stages: Sequence[StageUse], registry: Registry) -> str:
    """The field that files are made of: `image`, unless the last stage gives one map instead."""
    if not stages:
        return "image"
    gives = registry.spec("stage", stages[-1].use).produces
    maps = [item.name for item in gives if item.dims == ("H", "W")]
    is_picture = any(item.name in ("image", "latents") for item in gives)
    return "image" if is_picture or len(maps) != 1 else maps[0]


def _run(
    job: Job,
    request: RunRequest,
    options: RunOptions,
    output: Output,
    registry: Registry,
    outlets: Sequence[Outlet],
) -> int:
    from imgtool.engine import facade
    from imgtool.ui.outlets import Tail

    fields = tuple(sorted(fields_after(job, request.stages, registry) | {"seed"}))
    tail = Tail(outlets, fields)
    bar, trace, timings = _progress(output), _trace(options), Timings()
    whole = False
    patience_s: float | None = None
    try:
        observers = [observer for observer in (tail, bar, trace, timings) if observer]
        result = facade.execute(request, registry, observers)
        touch(result.store, result.run_name)
        whole = not job.source.was_cut
    except (Interrupted, KeyboardInterrupt):
        patience_s = PATIENCE_S
        raise
    finally:
        tail.finish(whole, patience_s)
        if isinstance(bar, Bar):
            bar.clear()
        if trace is not None:
            trace.write()
        timings.write()
    _report_outlets(outlets, output)
    _report_failures(result, output)
    return result.status


def _hand_on(job: Job, request: RunRequest, outlets: Sequence[Outlet], output: Output) -> int:
    """Give committed batches to the outlets: no stage has anything to do.

    Raises
    ------
    InputEmpty : one row was asked for, and is not there.
    """
    from imgtool.engine.request import StreamSource
    from imgtool.engine.source import no_row, rows_from
    from imgtool.store import Store
    from imgtool.stream import Header

    rows = job.source.rows
    assert isinstance(rows, StreamSource)
    store = Store.open(request.store, "r")
    wanted = {name for outlet in outlets for name in outlet.wanted}
    for outlet in outlets:
        outlet.start(Header(str(store.path.absolute()), request.name, rows.instance, rows.fields))
    found = 0
    for name in rows.batches:
        batch = store.read(rows.instance, name, wanted)
        if request.row is not None:
            batch = rows_from(batch, request.row)
        found += len(batch) + len(batch.failures)
        for outlet in outlets:
            outlet.batch(rows.instance, name, batch)
    if request.row is not None and not found:
        raise no_row(request.row)
    if not job.source.was_cut:
        for outlet in outlets:
            outlet.end()
    _report_outlets(outlets, output)
    return Status.DONE


def _shown(output: Output) -> list[Outlet]:
    """What goes to stdout."""
    from imgtool.ui.outlets import Collected, RowsOutlet, StreamOutlet

    if output.mode == "json":
        return [RowsOutlet(sys.stdout)]
    if output.mode == "stream":
        return [StreamOutlet(sys.stdout)]
    if output.mode == "table":
        return [Collected(limit=output.table_rows, images=output.previews)]
    return []


def _deps_file(ctx: click.Context, options: RunOptions, files: Sequence[Path]) -> DepsFile | None:
    """The command's dependency file, withdrawn; the variants of a sweep share it."""
    if options.deps is None:
        return None
    from imgtool.ui.deps import DepsFile

    deps: DepsFile = ctx.meta.setdefault("deps", DepsFile(options.deps))
    deps.withdraw(files)
    return deps


def _progress(output: Output) -> Bar | JsonProgress | None:
    if output.progress == "none":
        return None
    return Bar(sys.stderr) if output.progress == "bar" else JsonProgress(sys.stderr)


def _trace(options: RunOptions) -> Trace | None:
    return None if options.trace is None else Trace(options.trace)


def _report_outlets(outlets: Sequence[Outlet], output: Output) -> None:
    from imgtool.ui.outlets import Collected

    for outlet in outlets:
        if isinstance(outlet, Collected):
            output.table(outlet)
        elif hasattr(outlet, "summary"):
            output.note(outlet.summary())


def _report_failures(result: RunResult, output: Output) -> None:
    if result.failures:
        row_id, why = next(iter(result.failures.items()))
        count = counted(len(result.failures), "row")
        output.note(f"{count} failed; first: row {row_id} in {why.stage}: {why.reason}")
