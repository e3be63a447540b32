"""`imgtool plugin`: write, check, list and disable plugins, and find one that breaks a command.

Examples
--------
imgtool plugin list
imgtool plugin check imgtool-rewrite
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgtool.cli.loaded import load_registry
from imgtool.cli.output import Output
from imgtool.components import is_file
from imgtool.errors import Status, UnknownComponent, UsageError, near
from imgtool.paths import config_dir
from imgtool.registry import Registry, disabled_plugins, plugins_in_use
from imgtool.spec_cache import OWN, file_plugin

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imgtool.plugin_kit.bisect import Ending, Verdict
    from imgtool.plugin_kit.check import Finding
    from imgtool.spec_cache import Plugin
    from imgtool.specs import Spec

SCHEMA = "imgtool.plugin/1"
CHECK_SCHEMA = "imgtool.check/1"
FILE = "disabled-plugins.txt"


@click.group()
def plugin() -> None:
    """Write, check, list and disable plugins.

    IMGTOOL_PLUGINS names the only plugins that a command uses, parted by commas; `none` leaves all
    out but imgtool's own.
    """


@plugin.command()
@click.argument("name")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder to make.  [default: imgtool-NAME]",
)
def new(name: str, output: Path | None) -> None:
    """Write a complete package with one stage, for you to change."""
    from imgtool.plugin_kit.new import write_package

    folder = write_package(name, output)
    Output.plain().line(str(folder))
    Output.plain().note(f"pip install -e {folder} puts it to use")


@plugin.command()
@click.argument("name", metavar="NAME|FILE.py")
@click.option("--stage", "only", metavar="ID", help="Check this stage alone.")
@click.option(
    "--set", "settings", multiple=True, metavar="LABEL.KEY=VALUE", help="Change one parameter."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one finding a line.")
@click.pass_context
def check(
    ctx: click.Context, name: str, only: str | None, settings: tuple[str, ...], as_json: bool
) -> int:
    """Try every stage of a plugin against the rules that all stages keep."""
    from imgtool.plugin_kit.check import State, check_plugin, summary
    from imgtool.plugin_kit.processes import Processes

    registry, checked = _plugin_named(ctx, name)
    every = [spec for spec in registry.specs("stage") if spec.dist == checked.dist]
    stages = [spec for spec in every if only in (None, spec.id, spec.family)]
    if only and not stages:
        known = [spec.id for spec in every]
        raise UnknownComponent(
            f"{name} has no stage {only!r}",
            f"{near(only, known)}Stages: {', '.join(known) or 'none'}",
        )
    output, found = Output.plain(as_json), []
    given = _settings(settings, stages)
    with Processes() as processes:
        for finding in check_plugin(checked, registry, stages, given, processes):
            found.append(finding)
            _show(finding, output, as_json)
    output.note(summary(found))
    failed = any(finding.state is State.FAILED for finding in found)
    return Status.ROWS_FAILED if failed else Status.DONE


@plugin.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option("--timeout", type=float, metavar="SECONDS", help="Count a longer run as failed.")
def bisect(command: tuple[str, ...], timeout: float | None) -> int:
    """Find the plugin that makes COMMAND fail, by running it with halves of the plugins."""
    from imgtool.plugin_kit.bisect import bisect as find
    from imgtool.plugin_kit.bisect import runner

    output = Output.plain()
    names = list(dict.fromkeys(p.dist for p in plugins_in_use() if p.dist != OWN))
    run = runner(command, timeout)

    def told(only: Sequence[str]) -> Ending:
        ending = run(only)
        how = "works" if ending.works else f"fails ({ending.error or ending.status})"
        output.note(f"{len(only)} of {len(names)} plugins: {how}")
        return ending

    verdict = find(names, told)
    output.line(_told(verdict, _files_in(command)))
    return Status.DONE if verdict.guilty or verdict.whole.works else Status.ROWS_FAILED


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
        brings = sorted({item.name for item in owned if item.dist == name})
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


def _plugin_named(ctx: click.Context, name: str) -> tuple[Registry, Plugin]:
    files = [*ctx.find_root().meta.get("plugin_files", ())]
    registry = Registry.load(files)
    for item in registry.plugins:
        if name in (item.dist, item.name):
            return registry, item
    if is_file(name):
        return Registry.load([*files, name]), file_plugin(name)
    known = [item.dist for item in registry.plugins]
    hint = f"{near(name, known)}Known: {', '.join(known)}"
    if Path(name).is_dir():
        hint = f"pip install -e {name} puts a package to use; one file is checked as FILE.py"
    raise UnknownComponent(f"no plugin in use is called {name!r}", hint)


def _settings(pairs: Sequence[str], stages: Sequence[Spec]) -> dict[str, dict[str, object]]:
    from imgtool.params import check_value, find_param, parse_value

    found: dict[str, dict[str, object]] = {}
    for text in pairs:
        key, equals, value = text.partition("=")
        label, _, param = key.strip().rpartition(".")
        specs = [spec for spec in stages if label in (spec.id, spec.family)]
        if not equals or not specs:
            labels = ", ".join(spec.id for spec in stages)
            raise UsageError(f"--set takes LABEL.KEY=VALUE, not {text!r}", f"Labels: {labels}")
        for spec in specs:
            known = find_param(spec.id, spec.params, param)
            wanted = parse_value(known, value)
            check_value(spec.id, known, wanted)
            found.setdefault(spec.id, {})[param] = wanted
    return found


def _show(finding: Finding, output: Output, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        output.json({"schema": CHECK_SCHEMA, **asdict(finding)})
        return
    said = f"{finding.reason}; {finding.hint}" if finding.hint else finding.reason
    line = f"{finding.subject:24} {finding.check:9} {finding.state:15} {said}"
    output.line(line.rstrip())


def _files_in(command: Sequence[str]) -> list[str]:
    """Files that the command itself gives with `--plugin`: they cannot be left out."""
    return [value for option, value in pairwise(command) if option == "--plugin"]


def _told(verdict: Verdict, files: Sequence[str]) -> str:
    names = " and ".join(verdict.guilty)
    if verdict.whole.works:
        return "the command works with every plugin"
    if verdict.cured:
        return f"{names}: the command works without"
    if verdict.guilty:
        return f"{names}: the command needs it, and fails the same way with nothing else"
    if files:
        return f"no other plugin is at fault: the command fails the same way with {files[0]} alone"
    return "no plugin is at fault: the command fails the same way with none"


def _require(name: str, known: Collection[str]) -> None:
    if name not in known:
        listed = ", ".join(sorted(known)) or "none"
        raise UnknownComponent(
            f"no plugin is called {name!r}", f"{near(name, known)}Known: {listed}"
        )


def _write(names: Collection[str]) -> None:
    from imgtool.store.atomic import write_file

    write_file(config_dir() / FILE, "".join(f"{name}\n" for name in sorted(names)).encode())
