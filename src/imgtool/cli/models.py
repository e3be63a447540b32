"""`imgtool models`: the models that plugins bring, with size, licence and measured quality.

Examples
--------
imgtool models
imgtool models tabletop
imgtool models --task text-to-image --json
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from imgtool.cli.loaded import load_registry
from imgtool.cli.output import Output
from imgtool.cli.plans import size
from imgtool.errors import UnknownComponent, near, some

if TYPE_CHECKING:
    from imgtool.runtime.model_facts import ModelFacts

SCHEMA = "imgtool.model-alias/1"
COLUMNS = ("model", "task", "size", "pixels", "licence", "quality")


@click.command()
@click.argument("name", required=False)
@click.option("--task", metavar="TASK", help="Only models of this task.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one model a line.")
@click.pass_context
def models(ctx: click.Context, name: str | None, task: str | None, as_json: bool) -> None:
    """List the models that plugins bring, or print the card of NAME.

    Folders, files and hub ids work beside them.
    """
    output = Output.plain(as_json)
    found = _found(ctx, name, task)
    if as_json:
        for item in found:
            shown = asdict(item)
            card = shown.pop("card")
            output.json({"schema": SCHEMA, **shown, **({"card": card} if name else {})})
    elif name and found[0].card:
        for line in found[0].card.splitlines():
            output.line(line)
    else:
        output.rows(COLUMNS, [_row(item) for item in found])


def _found(ctx: click.Context, name: str | None, task: str | None) -> list[ModelFacts]:
    from imgtool.runtime.model_facts import model_facts

    registry = load_registry(ctx)
    if name is not None:
        return [model_facts(registry.component("model", name))]
    every = registry.components("model")
    tasks = sorted({str(item.meta.get("task")) for item in every})
    if task is not None and task not in tasks:
        hint = f"{near(task, tasks)}Tasks: {some(tasks)}"
        raise UnknownComponent(f"no model has the task {task!r}", hint)
    return [model_facts(item) for item in every if task in (None, item.meta.get("task"))]


def _row(item: ModelFacts) -> tuple[str, ...]:
    here = "not here" if item.bytes is None else size(item.bytes)
    return item.name, item.task, here, item.resolution, item.licence, item.quality
