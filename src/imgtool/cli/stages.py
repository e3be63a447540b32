"""`imgtool stages`: what is installed, with fields and parameters.

Examples
--------
imgtool stages
imgtool stages sr.lanczos --json
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgtool.cli.loaded import load_registry
from imgtool.cli.output import Output
from imgtool.errors import BrokenPlugin, UnknownComponent, near

if TYPE_CHECKING:
    from imgtool.specs import Spec

SCHEMA = "imgtool.spec/1"


@click.command()
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print specs as JSON, one a line.")
@click.pass_context
def stages(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """List stages and makers, or the parameters of NAMES (ids or families)."""
    output = Output.plain(as_json)
    specs = [spec for name in names for spec in _named(ctx, name)] if names else _all(ctx)
    if as_json:
        for spec in specs:
            output.json({"schema": SCHEMA, **spec.as_json()})
    elif names:
        for spec in specs:
            _describe(spec, output)
    else:
        output.rows(
            ("name", "takes", "gives", "summary"),
            [(s.id, _fields(s, "consumes"), _fields(s, "produces"), s.summary) for s in specs],
        )
    for problem in load_registry(ctx).problems:
        output.note(
            f"warning: {problem.dist}: {problem.name or 'plugin'} unusable: {problem.reason}"
        )


def _all(ctx: click.Context) -> list[Spec]:
    registry = load_registry(ctx)
    found = []
    for kind in ("stage", "maker"):
        for item in registry.components(kind):
            try:
                found.append(
                    registry.spec(kind, f"{item.dist}:{item.name}" if item.dist else item.name)
                )
            except (BrokenPlugin, UnknownComponent):
                continue  # listed among the problems
    return found


def _named(ctx: click.Context, name: str) -> list[Spec]:
    every = _all(ctx)
    found = [s for s in every if name in (s.id, s.family, f"{s.dist}:{s.id}")]
    if found:
        return found
    known = {name for spec in every for name in (spec.id, spec.family)}
    raise UnknownComponent(
        f"no stage or maker is called {name!r}", f"{near(name, known)}imgtool stages lists all"
    )


def _describe(spec: Spec, output: Output) -> None:
    output.line(f"{spec.id}  {spec.summary}")
    output.line(f"  {spec.kind}, version {spec.version}, scope {spec.scope}, from {spec.dist}")
    output.line(f"  takes {_fields(spec, 'consumes') or 'nothing'}")
    output.line(f"  gives {_fields(spec, 'produces') or 'nothing new'}")
    if spec.params:
        output.rows(
            ("parameter", "type", "default", "limits", "help"),
            [
                (p.name, p.type, "required" if p.required else p.default, _limits(p), p.help)
                for p in spec.params
            ],
        )
    output.line()


def _limits(param: object) -> str:
    low, high = getattr(param, "low", None), getattr(param, "high", None)
    choices = ", ".join(getattr(param, "choices", ()))
    if low is None and high is None:
        return choices
    return f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"


def _fields(spec: Spec, which: str) -> str:
    items = spec.consumes if which == "consumes" else spec.produces
    return " ".join(item.name + ("?" if item.optional else "") for item in items)
