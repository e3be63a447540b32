"""`imgtool models`: model aliases by task.

Examples
--------
imgtool models
imgtool models --task text-to-image --json
"""

from __future__ import annotations

import click

from imgtool.cli.loaded import load_registry
from imgtool.cli.output import Output

SCHEMA = "imgtool.model-alias/1"


@click.command()
@click.option("--task", metavar="TASK", help="Only models of this task.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one model a line.")
@click.pass_context
def models(ctx: click.Context, task: str | None, as_json: bool) -> None:
    """List the models that plugins bring. Folders, files and hub ids work beside them."""
    output = Output.plain(as_json)
    found = [
        {"name": m.name, "task": m.meta.get("task", ""), "summary": m.summary, "plugin": m.dist}
        for m in load_registry(ctx).components("model")
        if task in (None, m.meta.get("task"))
    ]
    if as_json:
        for item in found:
            output.json({"schema": SCHEMA, **item})
        return
    output.rows(("model", "task", "summary", "plugin"), [tuple(item.values()) for item in found])
