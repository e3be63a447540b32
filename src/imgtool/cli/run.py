"""`imgtool run`: a pipeline over its inputs, or the recipe of a picture again.

Examples
--------
imgtool run portrait prompts.txt -o 'out/{id}.png' --set generate.steps=30
imgtool run portrait prompts.txt --sweep generate.guidance=1,4,7 --store sweep.zarr
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgtool.cli.options import RunOptions, TextCommand, inputs_argument, run_options
from imgtool.cli.output import Output
from imgtool.errors import Status, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgtool.cli.sources import Source
    from imgtool.pipeline import Pipeline
    from imgtool.registry import Registry


@click.pass_context
def _run(ctx: click.Context, /, **values: object) -> int:
    from imgtool.cli.loaded import load_registry
    from imgtool.cli.sources import lines_of_stdin, open_source, takes_stdin

    registry = load_registry(ctx)
    inputs, recipe = values["inputs"], values["recipe"]
    assert isinstance(inputs, tuple)
    if recipe is not None:
        from imgtool.cli.recipes import run_recipe

        options = RunOptions.taken_from(values)
        return run_recipe(ctx, Path(str(recipe)), inputs, bool(values["consent"]), options)
    if not inputs:
        raise UsageError("no pipeline given", "imgtool pipeline list shows those at hand")
    variants = _variants(str(inputs[0]), values, registry)
    words, texts = inputs[1:], ctx.meta["texts"]
    stdin = None
    if len(variants) > 1:
        _refuse_streams(RunOptions.taken_from(values))
        # Every variant goes through its rows anew: files are read again, stdin cannot be.
        stdin = list(lines_of_stdin()) if takes_stdin(words, texts) else None
    status = Status.DONE
    for variant in variants:
        options = with_defaults(values, variant.pipeline)
        source = open_source(words, texts, {}, options, stdin)
        status = max(status, Status(run_variant(ctx, variant, source, options)))
    return status


@dataclass(frozen=True)
class Variant:
    """A pipeline as it is run.

    Attributes
    ----------
    changed : what `--set` changed in it, as a name; empty: nothing.
    value : what `--sweep` set; empty: nothing.
    apart : whether it is one of several, whose files and named runs must not meet.
    """

    pipeline: Pipeline
    changed: str = ""
    value: str = ""
    apart: bool = False

    @property
    def run_name(self) -> str:
        """Name of its run, where the user gives none."""
        return "-".join(filter(None, (self.pipeline.name, self.changed, self.value)))


def run_variant(ctx: click.Context, variant: Variant, source: Source, options: RunOptions) -> int:
    """One pipeline, or one variant of a sweep, over its rows; the exit status."""
    from imgtool.cli.work import Job, perform

    pipeline = variant.pipeline
    if variant.apart:
        options = set_apart(options, variant.value)
    job = Job(
        variant.run_name,
        pipeline.stages,
        source,
        pipeline.makers,
        attributes={"pipeline": pipeline.as_json()},
        exact_name=options.store is not None,
        is_end=variant.apart,
        files=() if pipeline.path is None else (pipeline.path,),
    )
    return perform(ctx, job, options)


def _refuse_streams(options: RunOptions) -> None:
    """Refuse a sweep that leaves its results to a reader of streams, who reads one alone.

    Raises
    ------
    UsageError : the results of the variants go nowhere else.
    """
    is_kept = options.output or options.sheet or options.store or options.name or options.plan
    if Output.of(options).mode == "stream" and not is_kept:
        raise UsageError(
            "the variants of a sweep cannot go through a pipe as streams",
            "Say where results go: -o 'out/{id}.png', --json or --store STORE",
        )


def with_defaults(values: Mapping[str, object], pipeline: Pipeline) -> RunOptions:
    """The command line's options, and the pipeline's own where the command line says nothing."""
    return RunOptions.taken_from({**pipeline.defaults, **given_options(values)})


def given_options(values: Mapping[str, object]) -> dict[str, object]:
    """Those that the command line gives."""
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


def set_apart(options: RunOptions, suffix: str) -> RunOptions:
    """The options of a variant whose named run and files are its own."""
    return replace(
        options,
        name=options.name and f"{options.name}-{suffix}",
        output=options.output and apart(options.output, suffix),
        sheet=options.sheet and Path(apart(str(options.sheet), suffix)),
        trace=options.trace and Path(apart(str(options.trace), suffix)),
    )


def apart(pattern: str, suffix: str) -> str:
    """An output pattern whose files of different variants have different names."""
    if "{variant}" in pattern:
        return pattern.replace("{variant}", suffix)
    if pattern.endswith("/") or not Path(pattern.partition("[")[0]).suffix:
        return f"{pattern.rstrip('/')}/{suffix}/"
    head, slash, tail = pattern.rpartition("/")
    return f"{head}{slash}{suffix}/{tail}"


def _variants(ref: str, values: dict[str, object], registry: Registry) -> list[Variant]:
    from imgtool.pipeline import load_pipeline, settings_name, sweep

    pairs, sweeps = values["settings"], values["sweeps"]
    assert isinstance(pairs, tuple)
    assert isinstance(sweeps, tuple)
    overrides = dict(_pair(text, "--set") for text in pairs)
    if isinstance(values["file"], Path):
        ref = f"{values['file']}:{ref}"
    pipeline, changed = load_pipeline(ref, registry, overrides), settings_name(overrides)
    if not sweeps:
        return [Variant(pipeline, changed)]
    choices = {key: value.split(",") for key, value in (_pair(t, "--sweep") for t in sweeps)}
    for key in choices.keys() & given_options(values).keys():
        flag = key.replace("_", "-")
        raise UsageError(f"--{flag} and --sweep {key} exclude each other", "Leave one out")
    found = sweep(pipeline, choices, registry)
    return [Variant(varied, changed, value, apart=len(found) > 1) for value, varied in found]


def _pair(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"{option} takes LABEL.KEY=VALUE, not {text!r}")
    return key.strip(), value


run = TextCommand(
    "run",
    callback=_run,
    help="Run PIPELINE, a name in pipelines.toml or FILE.toml:NAME, over its inputs.",
    params=[
        inputs_argument("[PIPELINE] [PROMPT|FILE|-]..."),
        click.Option(
            ["-f", "--file"],
            type=click.Path(path_type=Path, exists=True),
            metavar="FILE",
            help="Pipelines file.  [default: pipelines.toml]",
        ),
        click.Option(
            ["--set", "settings"],
            multiple=True,
            metavar="LABEL.KEY=VALUE",
            help="Change one parameter.",
        ),
        click.Option(
            ["--sweep", "sweeps"],
            multiple=True,
            metavar="LABEL.KEY=A,B",
            help="Run once for each value.",
        ),
        click.Option(
            ["--from", "recipe"],
            type=click.Path(),
            metavar="PICTURE",
            help="Run the recipe that a picture carries.",
        ),
        click.Option(
            ["--consent"], is_flag=True, help="Let a recipe download models and call endpoints."
        ),
        *run_options(),
    ],
)
