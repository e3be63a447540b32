"""What a plugin's own command may do: look components up, and run stages over rows.

Example, inside a click command that a plugin registered
--------
run = run_rows([{"prompt": "a red cube"}], pipeline="portrait", then=[("score.clip", {})])
scores = list(run.rows.values("score.clip"))
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from imgtool.batch import Value
    from imgtool.engine.python import Run
    from imgtool.pipeline import Pipeline
    from imgtool.registry import Registry


def current_registry() -> Registry:
    """The components of the running command, those of `--plugin FILE` included.

    Outside a command: those of this environment.

    Raises
    ------
    InputMissing, BrokenPlugin, UsageError : a file given with `--plugin` cannot be used.
    """
    ctx = click.get_current_context(silent=True)
    if ctx is None:
        from imgtool.registry import Registry

        return Registry.load()
    from imgtool.cli.loaded import load_registry

    return load_registry(ctx)


def run_rows(
    rows: Iterable[Mapping[str, Value]],
    *,
    pipeline: str = "",
    then: Sequence[tuple[str, Mapping[str, object]]] = (),
    overrides: Mapping[str, object] | None = None,
    store: Path | None = None,
    seed: int | None = None,
    **settings: Any,
) -> Run:
    """Run a pipeline and further stages over rows, with the progress of a command.

    What is done already is found in the store, as for `imgtool run`; models are fetched only where
    a stage here names them.

    Parameters
    ----------
    rows : mappings of fields; `id` and `seed` are derived where a row brings none.
    pipeline : `FILE.toml:NAME`, or a name in `pipelines.toml`; empty: no stage but those of `then`.
    then : stages after its last one, each a name and its parameters.
    overrides : `{"generate.steps": 20}`, for stages of both.
    store : where results are kept; None: the user's cache.
    settings : fields of `imgtool.engine.request.RunRequest`, such as `device`.

    Raises
    ------
    ImgtoolError : as `imgtool run` would report it.
    """
    from imgtool.cli.consent import may_download
    from imgtool.engine.python import run
    from imgtool.ui.progress import Bar

    registry = current_registry()
    whole = _with_stages(pipeline, then, overrides or {}, registry)
    bar = Bar(sys.stderr) if sys.stderr.isatty() else None
    try:
        return run(
            whole,
            rows=rows,
            store=store,
            seed=seed,
            registry=registry,
            observers=() if bar is None else (bar,),
            **{"offline": not may_download((*whole.makers, *whole.stages), registry), **settings},
        )
    finally:
        if bar is not None:
            bar.clear()


def _with_stages(
    pipeline: str,
    then: Sequence[tuple[str, Mapping[str, object]]],
    overrides: Mapping[str, object],
    registry: Registry,
) -> Pipeline:
    from imgtool.pipeline import Pipeline, StageUse, find_pipeline, override, resolve

    base = find_pipeline(pipeline) if pipeline else Pipeline("rows", "", ())
    added = tuple(StageUse(use, params=dict(params)) for use, params in then)
    whole = replace(base, stages=(*base.stages, *added))
    return resolve(override(whole, overrides, registry), registry)
