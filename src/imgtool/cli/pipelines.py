"""`imgtool pipeline`: list, show and check the pipelines of a file.

Examples
--------
imgtool pipeline list
imgtool pipeline check portrait
"""

from __future__ import annotations

import click

from imgtool.cli.loaded import load_registry
from imgtool.cli.output import Output
from imgtool.pipeline import (
    DEFAULT_FILE,
    MakerUse,
    Pipeline,
    StageUse,
    load_pipeline,
    read_pipelines,
)
from imgtool.ui.text import counted

AS_JSON = "Print JSON."
SCHEMA = "imgtool.pipeline/1"


@click.group()
def pipeline() -> None:
    """List, show and check pipelines."""


@pipeline.command("list")
@click.argument("file", default=DEFAULT_FILE)
@click.option("--json", "as_json", is_flag=True, help=AS_JSON)
def list_(file: str, as_json: bool) -> None:
    """List the pipelines of FILE (pipelines.toml)."""
    output = Output.plain(as_json)
    found = read_pipelines(file)
    if as_json:
        for item in found.values():
            output.json({"schema": SCHEMA, **item.as_json()})
        return
    output.rows(
        ("pipeline", "stages", "description"),
        [(p.name, " → ".join(u.use for u in p.stages), p.description) for p in found.values()],
    )


@pipeline.command()
@click.argument("ref")
@click.option(
    "--set", "settings", multiple=True, metavar="LABEL.KEY=VALUE", help="Change one parameter."
)
@click.option("--json", "as_json", is_flag=True, help=AS_JSON)
@click.pass_context
def show(ctx: click.Context, ref: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Show the stages of REF, a name or FILE.toml:NAME, with all parameters."""
    overrides = dict(text.split("=", 1) for text in settings if "=" in text)
    show_pipeline(ctx, load_pipeline(ref, load_registry(ctx), overrides), Output.plain(as_json))


@pipeline.command()
@click.argument("refs", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help=AS_JSON)
@click.pass_context
def check(ctx: click.Context, refs: tuple[str, ...], as_json: bool) -> None:
    """Check names, values and models of REFS (every pipeline of pipelines.toml)."""
    output = Output.plain(as_json)
    registry = load_registry(ctx)
    for ref in refs or read_pipelines(DEFAULT_FILE):
        checked = load_pipeline(ref, registry)
        if as_json:
            output.json({"schema": SCHEMA, "ok": True, **checked.as_json()})
        else:
            output.line(f"{checked.name}: ok, {counted(len(checked.stages), 'stage')}")


def show_pipeline(ctx: click.Context, item: Pipeline, output: Output) -> None:
    """One pipeline: a row a stage, what is not a default marked by its value."""
    if output.mode == "json":
        output.json({"schema": SCHEMA, **item.as_json()})
        return
    registry = load_registry(ctx)
    output.line(f"{item.name}: {item.description}".rstrip(": "))
    rows = []
    uses: list[StageUse | MakerUse] = [*item.makers, *item.stages]
    for use in uses:
        spec = registry.spec(use.kind, use.use)
        params = {param.name: param.default for param in spec.params} | dict(use.params)
        shown = " ".join(
            f"{k}={_text(v)}" for k, v in params.items() if v not in (None, "", [], ())
        )
        upstream = getattr(use, "upstream", None) or ""
        rows.append((use.label, spec.id, upstream, shown))
    output.rows(("name", "stage", "from", "parameters"), rows)


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
