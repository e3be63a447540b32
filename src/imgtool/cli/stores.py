"""`imgtool store`: look into, verify, tidy and pack stores.

Examples
--------
imgtool store ls runs.zarr
imgtool store verify runs.zarr
imgtool store gc runs.zarr --dry-run
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from imgtool.cli.options import RunOptions
from imgtool.cli.output import Output
from imgtool.cli.place import store_path
from imgtool.cli.plans import size
from imgtool.errors import Status

SCHEMA = "imgtool.store/1"


def _place(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path:
    return value or store_path(RunOptions())


STORE = click.argument(
    "path", type=click.Path(path_type=Path), metavar="[STORE]", required=False, callback=_place
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, one item a line.")


@click.group()
def store() -> None:
    """Look into, verify, tidy and pack stores. Without STORE, the one of unnamed runs."""


@store.command()
@STORE
@AS_JSON
def ls(path: Path, as_json: bool) -> None:
    """List runs with their stages."""
    from imgtool.store import Store

    opened = Store.open(path, "r")
    output = Output.plain(as_json)
    rows = []
    for name in opened.runs():
        record = opened.run(name) or {}
        stages = [stage["label"] for stage in record.get("stages", ())]
        batches = len(record.get("batches", ()))
        if as_json:
            output.json({"schema": SCHEMA, "run": name, "stages": stages, "batches": batches})
        rows.append((name, batches, " → ".join(stages)))
    if not as_json:
        output.rows(("run", "batches", "stages"), rows)


@store.command()
@STORE
@AS_JSON
def show(path: Path, as_json: bool) -> None:
    """Show instances: what they are, batches and size on disk."""
    from imgtool.store import Store

    opened = Store.open(path, "r")
    output = Output.plain(as_json)
    rows = []
    for key in opened.instances():
        about: dict[str, Any] = {"stage": "source"}
        if not key.startswith("source-"):
            about = opened.instance(key)
        count = len(opened.names(key))
        taken = sum(f.stat().st_size for f in (path / key).rglob("*") if f.is_file())
        if as_json:
            output.json(
                {"schema": SCHEMA, "instance": key, **about, "batches": count, "bytes": taken}
            )
        params = " ".join(f"{k}={v}" for k, v in about.get("params", {}).items())
        rows.append((key, about.get("stage", ""), count, size(taken), params))
    if not as_json:
        output.rows(("instance", "stage", "batches", "size", "parameters"), rows)


@store.command()
@STORE
@click.option("--no-repair", is_flag=True, help="Report only; withdraw nothing.")
@AS_JSON
def verify(path: Path, no_repair: bool, as_json: bool) -> int:
    """Read every byte, and withdraw batches that are bad: the next run redoes them."""
    from imgtool.store import Store
    from imgtool.store.verify import mend_root
    from imgtool.store.verify import verify as check

    output = Output.plain(as_json)
    damages = [] if no_repair else mend_root(path)
    damages += check(Store.open(path, "r" if no_repair else "a"), repair=not no_repair)
    for damage in damages:
        if as_json:
            output.json({"schema": SCHEMA, **asdict(damage)})
        else:
            output.line(str(damage))
    if not damages and not as_json:
        output.line(f"{path}: every byte is as it was written")
    return Status.ROWS_FAILED if damages else Status.DONE


@store.command()
@STORE
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@AS_JSON
def gc(path: Path, dry_run: bool, as_json: bool) -> None:
    """Remove batches that no run reaches.

    A run reaches its batches once all its rows have come; one that was killed before that begins
    anew.
    """
    from imgtool.store import Store
    from imgtool.store.gc import clean, collect

    report = collect(Store.open(path), dry_run=True) if dry_run else clean(Store.open(path, "a"))
    output = Output.plain(as_json)
    if as_json:
        output.json({"schema": SCHEMA, **asdict(report)})
    else:
        output.line(str(report))


@store.command()
@STORE
@click.option("--run", metavar="NAME", help="Run to pack.  [default: the newest]")
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Zarr folder to write; it must not exist yet.",
)
def pack(path: Path, run: str | None, out: Path) -> None:
    """Write a run as one sharded array a field, for archives and analysis."""
    from imgtool.cli.stored import run_named
    from imgtool.store import Store
    from imgtool.store.pack import pack as write

    opened = Store.open(path, "r")
    write(opened, run_named(opened, run), out)
    Output.plain().line(str(out))
