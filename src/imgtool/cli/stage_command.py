"""The command of one stage, generated from its spec. Imports no plugin.

Examples
--------
imgtool generate "a red cube" -n 4 -o 'out/{id}.png'
imgtool sr picture.png --scale 2 -o big.png
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgtool.cli.options import RunOptions, TextCommand, inputs_argument, run_options
from imgtool.cli.param_options import flags, given_params, param_options
from imgtool.fields import SEED
from imgtool.params import cheap_check

if TYPE_CHECKING:
    from imgtool.specs import Spec

FIELD = "field__"


def stage_command(spec: Spec, name: str) -> click.Command:
    """A click command that runs one stage over its inputs."""

    @click.pass_context
    def call(ctx: click.Context, /, **values: object) -> int:
        return _call(ctx, spec, name, values)

    own: list[click.Parameter] = list(param_options(spec))
    fields = [option for option in field_options(spec) if not flags([option]) & flags(own)]
    taken = flags(own) | flags(fields)
    shared = [option for option in run_options() if not flags([option]) & taken]
    return TextCommand(
        name,
        params=[inputs_argument(), *own, *fields, *shared],
        callback=call,
        help=_help(spec),
        short_help=spec.summary,
        sections={"Parameters": flags(own), "Fields": flags(fields)},
    )


def field_options(spec: Spec) -> list[click.Parameter]:
    """`--FIELD FILE` for every field that the stage consumes."""
    return [
        click.Option(
            ["--" + field.name.replace("_", "-").replace(".", "-"), FIELD + field.name],
            metavar="FILE" if field.is_array else "FILE|VALUE",
            help=f"Bind {field.name}: {field.summary}".rstrip(": "),
        )
        for field in spec.consumes
        if field.name != SEED.name  # --seed is the run's
    ]


def _call(ctx: click.Context, spec: Spec, name: str, values: dict[str, object]) -> int:
    from imgtool.cli.sources import open_source
    from imgtool.cli.work import Job, perform
    from imgtool.pipeline import StageUse

    options = RunOptions.taken_from(values)
    params = given_params(spec, values)
    cheap_check(spec, params)
    bound = {
        key.removeprefix(FIELD): str(value)
        for key, value in values.items()
        if key.startswith(FIELD) and value is not None
    }
    inputs = values.get("inputs")
    assert isinstance(inputs, tuple)
    needed = {field.name for field in spec.consumes if not field.optional} - {SEED.name}
    alone = bool(needed) and needed <= bound.keys()
    source = open_source(inputs, ctx.meta["texts"], bound, options, alone=alone)
    use = StageUse(use=name if ":" in name else spec.id, label=spec.family, params=params)
    return perform(ctx, Job(name, (use,), source), options)


def _help(spec: Spec) -> str:
    takes = ", ".join(f.name + ("?" if f.optional else "") for f in spec.consumes) or "nothing"
    gives = ", ".join(f.name for f in spec.produces) or "nothing new"
    about = f"{spec.summary}\n\n\b\n{spec.id} (version {spec.version}, {spec.dist})\n"
    return about + f"takes {takes}\ngives {gives}"
