"""`imgtool report`: one HTML page about runs, to look at their pictures and send around.

Examples
--------
imgtool report runs.zarr -o report.html
imgtool report plain sharp
imgtool report s.zarr --run 'demo-steps=*'
"""

from __future__ import annotations

import fnmatch
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgtool.cli.output import Output
from imgtool.errors import InputMissing, OutputUnwritable, UnknownComponent, UsageError, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imgtool.registry import Registry
    from imgtool.specs import Spec
    from imgtool.store import Store


@click.command()
@click.argument("what", nargs=-1, metavar="[RUN...|STORE|-]")
@click.option(
    "--run",
    "runs",
    metavar="NAME",
    multiple=True,
    help="Run of the store, or several to compare: 'demo-*'.  [default: the newest]",
)
@click.option(
    "-o", "--output", metavar="FILE", default="report.html", help="Page.  [default: report.html]"
)
@click.option(
    "--thumb",
    type=click.IntRange(min=0),
    metavar="N",
    help="Longest edge of its pictures, pixels; 0: as they are.  [default: 640, less for many]",
)
@click.pass_context
def report(
    ctx: click.Context,
    what: tuple[str, ...],
    runs: tuple[str, ...],
    output: str,
    thumb: int | None,
) -> None:
    """Write one HTML page about RUNs, runs of a STORE, or '-', the run of an upstream's stream.

    The page holds all that it needs: pictures of every stage, scores and how they are spread,
    texts, the command that makes each picture again, and a blind comparison of two runs.
    """
    from imgtool.cli.loaded import load_registry
    from imgtool.pictures.writer import write_unless_equal
    from imgtool.report.collect import collect
    from imgtool.report.page import page, size_text
    from imgtool.report.pictures import Album, edge_for
    from imgtool.report.reading import count_pictures

    if output != "-" and Path(output).is_dir():
        raise OutputUnwritable(f"{output!r} is a folder", f"-o {output.rstrip('/')}/report.html")
    store, names = _named(what, runs)
    edge = edge_for(count_pictures(store, names)) if thumb is None else thumb
    found = collect(store, names, Album(edge), _specs(load_registry(ctx)))
    data = page(found)
    if output == "-":
        sys.stdout.buffer.write(data)
        return
    write_unless_equal(Path(output), data)
    Output.plain().note(
        f"wrote {output}: {counted(found.lines, 'row')}, "
        f"{counted(len(found.pictures), 'picture')}, {size_text(len(data))}"
    )


def _named(what: tuple[str, ...], runs: tuple[str, ...]) -> tuple[Store, list[str]]:
    """The store and the names of runs in it that the arguments mean.

    Raises
    ------
    UsageError : there is more beside a store or a stream.
    InputMissing, StoreNotFound, UnknownComponent, InputEmpty : as the names say.
    """
    from imgtool import inputs
    from imgtool.store import Store
    from imgtool.unnamed import unnamed_store

    alone = next((one for one in what if one == "-" or inputs.is_path(one)), None if what else "-")
    if alone and len(what) > 1:
        raise UsageError(
            f"{alone!r} is given beside other runs", "imgtool report STORE --run A --run B"
        )
    if alone == "-":
        path, runs = _of_stream(runs)
    elif alone:
        if not Path(alone).exists():
            raise InputMissing(f"there is no store {alone!r}")
        path = Path(alone)
    else:
        path, runs = unnamed_store(), (*what, *runs)
    store = Store.open(path, "r")
    return store, list(dict.fromkeys(_matching(store, runs)))


def _matching(store: Store, runs: tuple[str, ...]) -> Iterator[str]:
    """Runs of `store` by name or by pattern, those of one pattern by the numbers in their names."""
    from imgtool.cli.stored import run_named

    known = store.runs()
    for name in runs or (None,):
        found = [] if name is None or name in known else fnmatch.filter(known, name)
        yield from sorted(found, key=_natural) or [run_named(store, name)]


def _natural(name: str) -> list[tuple[float, str]]:
    """`steps=2` before `steps=10`."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return [(float(part), "") if at % 2 else (0.0, part) for at, part in enumerate(parts)]


def _of_stream(runs: tuple[str, ...]) -> tuple[Path, tuple[str, ...]]:
    from imgtool.cli.sources import stream_on_stdin

    reader = stream_on_stdin()
    for _ in reader.batches():
        pass
    reader.check_whole()
    return Path(reader.header.store), runs or (reader.header.run,)


def _specs(registry: Registry) -> Callable[[str], Spec | None]:
    """Declarations of stages; a stage whose plugin has gone has none, and is shown all the same."""
    from imgtool.errors import AmbiguousComponent, BrokenPlugin

    def spec_of(use: str) -> Spec | None:
        try:
            return registry.spec("stage", use)
        except (UnknownComponent, AmbiguousComponent, BrokenPlugin):
            return None

    return spec_of
