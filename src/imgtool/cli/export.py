"""`imgtool export`: pictures out of a store or an upstream's stream.

Examples
--------
imgtool generate prompts.txt | imgtool export -o out/
imgtool export runs.zarr -o 'out/{id}-{seed}.jpg[Q=90]'
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgtool.cli.options import RunOptions, TextCommand, inputs_argument, run_options
from imgtool.errors import UsageError

if TYPE_CHECKING:
    from imgtool.cli.sources import Source


@click.pass_context
def _export(ctx: click.Context, /, **values: object) -> int:
    from imgtool.cli.sources import open_source
    from imgtool.cli.work import Job, perform

    options = RunOptions.taken_from(values)
    if not options.output:
        raise UsageError("export needs -o", "-o out/, or -o 'out/{id}.jpg[Q=90]'")
    inputs = values["inputs"]
    assert isinstance(inputs, tuple)
    source = _source(inputs, values) or open_source(inputs, ctx.meta["texts"], {}, options)
    return perform(ctx, Job("export", (), source, is_end=True), options)


def _source(inputs: tuple[str, ...], values: dict[str, object]) -> Source | None:
    from imgtool import inputs as reading
    from imgtool.cli.sources import of_store

    if len(inputs) != 1 or not reading.is_store(inputs[0]):
        return None
    run, label = values["run"], values["label"]
    return of_store(
        Path(inputs[0]), None if run is None else str(run), None if label is None else str(label)
    )


export = TextCommand(
    "export",
    callback=_export,
    help="Write pictures out of a store, a stream or other pictures.",
    params=[
        inputs_argument("[STORE|FILE|-]..."),
        click.Option(["--run"], metavar="NAME", help="Run of the store.  [default: the newest]"),
        click.Option(
            ["--stage", "label"],
            metavar="LABEL",
            help="Stage whose pictures to write.  [default: the last]",
        ),
        *run_options(),
    ],
)
