"""`imgtool show`: a store, a stream, a picture, what a maker made or a pipeline, for people.

Examples
--------
imgtool show runs.zarr
imgtool show out/0.png
imgtool show pruned/ -o layers.png
imgtool show portrait
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli.output import PREVIEWS, TABLE_ROWS, Output
from imgtool.errors import InputMissing, UsageError, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgtool.cli.stored import Stored
    from imgtool.shown import Shown

SCHEMA = "imgtool.picture/1"
SHOWABLE = "Name a store, a picture, what a maker made or a pipeline"


@click.command()
@click.argument("what", default="-")
@click.option("--run", metavar="NAME", help="Run of the store.  [default: the newest]")
@click.option("--stage", "label", metavar="LABEL", help="Stage to show.  [default: the last]")
@click.option(
    "--rows",
    "limit",
    type=click.IntRange(min=0),
    default=TABLE_ROWS,
    help="Rows to show.  [default: 20]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one row a line.")
@click.option(
    "-o",
    "--output",
    "chart",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the chart of what a maker made here.",
)
@click.pass_context
def show(
    ctx: click.Context,
    what: str,
    run: str | None,
    label: str | None,
    limit: int,
    as_json: bool,
    chart: Path | None,
) -> None:
    """Show WHAT: a store, a picture, a folder that a maker made, a pipeline's name, or '-' for an
    upstream's stream.
    """
    from imgtool import inputs

    output = Output.plain(as_json)
    path = Path(what)
    if (shown := _shown(ctx, path)) is not None:
        show_folder(shown, output, limit, chart)
    elif chart is not None:
        raise UsageError(f"{what!r} has no chart", "Leave -o out, or name a folder that has one")
    elif what == "-":
        show_stream(output, limit)
    elif inputs.is_store(what):
        from imgtool.cli.stored import last_batches

        show_rows(last_batches(path, run, label), output, limit)
    elif path.suffix.lower() in inputs.PICTURES:
        show_picture(path, output)
    else:
        _show_pipeline(ctx, what, output)


def _shown(ctx: click.Context, path: Path) -> Shown | None:
    """What a plugin says of a folder; None where it is no folder or none knows it."""
    if not path.is_dir():
        return None
    from imgtool.cli.loaded import load_registry

    registry = load_registry(ctx)
    known = [each.name for each in registry.components("show") if (path / each.name).is_file()]
    return registry.resolve("show", known[0])(path) if known else None


def show_folder(shown: Shown, output: Output, limit: int, chart: Path | None = None) -> None:
    """Facts, a table and a picture of a folder, or its JSON document.

    Raises
    ------
    UsageError : a chart is to be written, and there is none.
    OutputUnwritable : it cannot be.
    """
    if chart is not None:
        if shown.picture is None:
            raise UsageError("this folder has no chart", "Leave -o out")
        _write_chart(shown.picture, chart)
    if output.mode == "json":
        output.json(shown.document)
        return
    output.rows(("what", "value"), shown.facts)
    if shown.rows:
        output.line()
        output.rows(shown.columns, shown.rows[:limit])
    if len(shown.rows) > limit:
        output.line(f"… {len(shown.rows) - limit} more; --rows {len(shown.rows)} shows all")
    if shown.picture is not None:
        output.pictures([shown.picture])


def _write_chart(picture: Any, path: Path) -> None:
    from imgtool.pictures.metadata import Level
    from imgtool.pictures.patterns import parse_pattern
    from imgtool.pictures.writer import encode, write_unless_equal

    write_unless_equal(path, encode(picture, parse_pattern(str(path)), Level.NONE, {}, {}))


def show_rows(stored: Stored, output: Output, limit: int) -> None:
    """Rows of a run as a table with previews, or as JSON lines."""
    from imgtool.stream import row_lines
    from imgtool.ui.outlets import Collected

    if output.mode == "json":
        for name, batch in stored.batches():
            for line in row_lines(stored.instance, name, batch):
                output.json(line)
        return
    kept = Collected(limit, PREVIEWS if output.colour else 0)
    for name, batch in stored.batches(kept.wanted):
        kept.batch(stored.instance, name, batch)
    rows = counted(kept.count, "row")
    output.line(f"{stored.store.path}  run {stored.run}  {stored.instance}  {rows}")
    output.table(kept)


def show_stream(output: Output, limit: int) -> None:
    """Rows of the stream on stdin.

    Raises
    ------
    StreamCut : the upstream ended early; its rows have been shown.
    """
    from imgtool.cli.sources import stream_on_stdin
    from imgtool.cli.stored import of_stream

    reader = stream_on_stdin()
    show_rows(of_stream(reader), output, limit)
    reader.check_whole()


def show_picture(path: Path, output: Output) -> None:
    """What a picture says about how it was made, and a preview.

    Raises
    ------
    InputUnreadable : it is no picture.
    """
    from imgtool.pictures.metadata import read_metadata
    from imgtool.pictures.photo import read_picture

    image = read_picture(path)
    recipe = read_metadata(path)
    height, width = image.shape[:2]
    if output.mode == "json":
        output.json(
            {"schema": SCHEMA, "path": str(path), "width": width, "height": height, **recipe}
        )
        return
    output.line(f"{path}  {width}x{height}")
    facts = picture_facts(recipe)
    if facts:
        output.rows(("what", "value"), facts)
    else:
        output.line("says nothing of how it was made")
    if "record" in recipe:
        output.line(f"again: imgtool run --from {shlex.quote(str(path))}")
    output.pictures([image])


def picture_facts(found: Mapping[str, Any]) -> list[tuple[str, object]]:
    """What the metadata of a picture says, by imgtool or by another program: name and value."""
    from imgtool.pictures.metadata import parse_a1111
    from imgtool.recipe import are_stages

    record = found.get("record")
    if not isinstance(record, dict):
        return list(parse_a1111(found["parameters"]).items()) if "parameters" in found else []
    row, recipe = (_mapping(record.get(name)) for name in ("row", "recipe"))
    first = ("prompt", "negative_prompt", "source_prompt", "seed")
    names = [*(name for name in first if name in row), *(n for n in row if n not in first)]
    facts: list[tuple[str, object]] = [(n, row[n]) for n in names if row[n] not in (None, "")]
    for stage in recipe["stages"] if are_stages(recipe.get("stages")) else ():
        params = {k: v for k, v in stage["params"].items() if v not in (None, "", [], 0, False)}
        facts.append((stage["use"], " ".join(f"{name}={v}" for name, v in params.items())))
    return facts


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _show_pipeline(ctx: click.Context, what: str, output: Output) -> None:
    from imgtool.cli.loaded import load_registry
    from imgtool.cli.pipelines import show_pipeline
    from imgtool.pipeline import load_pipeline

    if Path(what).is_dir():
        raise UsageError(f"no plugin knows what the folder {what!r} holds", SHOWABLE)
    if ".toml" not in what and Path(what).is_file():
        raise UsageError(f"the file {what!r} is nothing that can be shown", SHOWABLE)
    if ".toml" not in what and "/" in what:
        raise InputMissing(f"there is no file {what!r}")
    show_pipeline(ctx, load_pipeline(what, load_registry(ctx)), output)
