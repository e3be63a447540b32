"""`imgtool plugin`: list plugins, disable one, enable it again.

Examples
--------
imgtool plugin list
imgtool plugin disable imgtool-depth
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgtool.cli.output import Output
from imgtool.cli.root import load_registry
from imgtool.errors import UnknownComponent, near
from imgtool.paths import config_dir
from imgtool.registry import disabled_plugins

if TYPE_CHECKING:
    from collections.abc import Collection

SCHEMA = "imgtool.plugin/1"
FILE = "disabled-plugins.txt"


@click.group()
def plugin() -> None:
    """List, disable and enable plugins."""


@plugin.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one plugin a line.")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List plugins with what they bring and what is wrong with them."""
    registry = load_registry(ctx)
    output = Output.plain(as_json)
    owned = [item for kind in registry.kinds() for item in registry.components(kind)]
    rows = []
    for name in dict.fromkeys(item.dist for item in registry.plugins):
        brings = sorted(item.name for item in owned if item.dist == name)
        problems = [p.reason for p in registry.problems if p.dist == name]
        state = "broken" if problems else "ok"
        rows.append((name, state, " ".join(brings), "; ".join(problems)))
    rows += [(name, "disabled", "", "") for name in sorted(disabled_plugins())]
    names = ("plugin", "state", "brings", "problem")
    if as_json:
        for row in rows:
            output.json({"schema": SCHEMA, **dict(zip(names, row, strict=True))})
    else:
        output.rows(names, rows)


@plugin.command()
@click.argument("name")
@click.pass_context
def disable(ctx: click.Context, name: str) -> None:
    """Leave the plugin NAME out from now on, for you alone."""
    known = {item.dist for item in load_registry(ctx).plugins} - {"imgtool"}
    _require(name, known | disabled_plugins())
    _write(disabled_plugins() | {name})


@plugin.command()
@click.argument("name")
def enable(name: str) -> None:
    """Use the disabled plugin NAME again."""
    _require(name, disabled_plugins())
    _write(disabled_plugins() - {name})


def _require(name: str, known: Collection[str]) -> None:
    if name not in known:
        listed = ", ".join(sorted(known)) or "none"
        raise UnknownComponent(
            f"no plugin is called {name!r}", f"{near(name, known)}Known: {listed}"
        )


def _write(names: Collection[str]) -> None:
    from imgtool.store.atomic import write_file

    write_file(config_dir() / FILE, "".join(f"{name}\n" for name in sorted(names)).encode())
