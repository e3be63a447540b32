"""The command of one maker, generated from its spec: it leaves a model folder at `-o`.

Examples
--------
imgtool prune.obs --model tabletop --sparsity 0.5 -o slim/
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgtool.cli.output import Output
from imgtool.cli.param_options import flags, given_params, param_options
from imgtool.errors import OutputUnwritable
from imgtool.params import cheap_check

if TYPE_CHECKING:
    from imgtool.specs import Spec


def maker_command(spec: Spec, name: str) -> click.Command:
    """A click command that makes one model."""

    @click.pass_context
    def call(ctx: click.Context, /, **values: object) -> int:
        return _call(ctx, spec, values)

    own: list[click.Parameter] = list(param_options(spec))
    shared = [option for option in maker_options() if not flags([option]) & flags(own)]
    return click.Command(
        name, params=[*own, *shared], callback=call, help=spec.summary, short_help=spec.summary
    )


def maker_options() -> list[click.Parameter]:
    """Options that every maker takes."""
    return [
        click.Option(
            ["-o", "--output"],
            type=click.Path(path_type=Path),
            required=True,
            metavar="FOLDER",
            help="Folder to make; it is new, or of the same command.",
        ),
        click.Option(["--device"], default="auto", help="auto, cpu, cuda…  [default: auto]"),
        click.Option(
            ["--dtype"],
            type=click.Choice(["auto", "float32", "float16", "bfloat16"]),
            default="auto",
            help="Precision of models.  [default: auto]",
        ),
        click.Option(["--json"], is_flag=True, help="Print what was made as JSON."),
    ]


def _call(ctx: click.Context, spec: Spec, values: dict[str, object]) -> int:
    from imgtool.cli.consent import may_download
    from imgtool.cli.loaded import load_registry
    from imgtool.engine.make import derivation_key, is_made, make_one
    from imgtool.pipeline import MakerUse
    from imgtool.runtime.context import Runtime

    given = given_params(spec, values)
    params = cheap_check(spec, given)
    folder, dtype = values["output"], str(values["dtype"])
    assert isinstance(folder, Path)
    registry, output = load_registry(ctx), Output.plain(bool(values["json"]))
    offline = not may_download([MakerUse("", spec.owned, given)], registry)
    runtime = Runtime(registry=registry, device=str(values["device"]), dtype=dtype, offline=offline)
    key = derivation_key(spec, params, {**params, "--dtype": dtype}, runtime)
    if is_made(folder, key):
        output.note(f"{str(folder)!r} is there already, made by the same command")
    else:
        _require_new(folder)
        _show_log()
        make_one(spec.id, params, folder, registry, runtime, key)
    if output.mode == "json":
        output.json({"schema": "imgtool.model/1", "maker": spec.id, "path": str(folder)})
    else:
        output.line(str(folder))
    return 0


def _require_new(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputUnwritable(
            f"{str(folder)!r} exists and is no empty folder, nor made by this same command",
            "Give a new folder to -o",
        )


def _show_log() -> None:
    """Makers take long and say how they fare in the log; a command shows it."""
    import logging
    import sys

    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    logging.getLogger("imgtool").setLevel(logging.INFO)
