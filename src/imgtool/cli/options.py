"""Options that every command that runs rows takes, and the value that they become."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgtool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True)
class RunOptions:
    """How to run and where results go. Names are those of the options, `_` for `-`."""

    output: str | None = None
    store: Path | None = None
    name: str | None = None
    json: bool = False
    progress: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    deterministic: bool = False
    batch: int = 0
    compute_batch: int = 0
    seed: int = 0
    on_error: str = "skip"
    retry_failed: bool = False
    schedule: str = "auto"
    row: str | None = None
    plan: bool = False
    trace: Path | None = None
    metadata: str = "full"
    sheet: Path | None = None
    deps: Path | None = None

    @classmethod
    def taken_from(cls, values: Mapping[str, object]) -> RunOptions:
        """Those of `values` that are run options; what was not given keeps its default.

        Raises
        ------
        UsageError : two options contradict each other.
        """
        given = {
            item.name: values[item.name]
            for item in fields(cls)
            if values.get(item.name) is not None
        }
        options = cls(**given)  # type: ignore[arg-type]  # click has converted each of them
        if options.deps and not (options.output or options.sheet):
            raise UsageError(
                "--deps says what written files are made of, and none is written",
                "Name one: -o 'out/{id}.png', or --sheet FILE",
            )
        return options


def run_options() -> list[click.Parameter]:
    """Fresh option objects, in the order of help."""
    path = click.Path(path_type=Path)
    positive = click.IntRange(min=0)
    choice = click.Choice
    return [
        click.Option(
            ["-o", "--output"],
            metavar="PATTERN",
            help="Write pictures: 'out/{id}-{seed}.png', 'x.jpg[Q=90]' or a folder.",
        ),
        click.Option(["--store"], type=path, metavar="STORE", help="Keep results in this store."),
        click.Option(["--name"], metavar="NAME", help="Name the run inside its store."),
        click.Option(["--json"], is_flag=True, help="Print rows, one JSON object a line."),
        click.Option(["--plan"], is_flag=True, help="Say what would run and why; run nothing."),
        click.Option(["--row"], metavar="ID", help="Compute this one row alone."),
        click.Option(["--seed"], type=positive, help="Seed of rows that bring none.  [default: 0]"),
        click.Option(
            ["--batch"],
            type=positive,
            metavar="ROWS",
            help="Rows committed at once.  [default: 16]",
        ),
        click.Option(
            ["--compute-batch"],
            type=positive,
            metavar="ROWS",
            help="Rows computed at once.  [default: what fits]",
        ),
        click.Option(
            ["--device"], metavar="NAME", help="auto, cpu, cuda, cuda:1, mps…  [default: auto]"
        ),
        click.Option(
            ["--dtype"],
            type=choice(["auto", "float32", "float16", "bfloat16"]),
            help="Precision of models.  [default: auto]",
        ),
        click.Option(
            ["--attention"],
            type=choice(["auto", "xformers", "sdpa"]),
            help="Attention kernels.  [default: auto]",
        ),
        click.Option(["--deterministic"], is_flag=True, help="Same bits whatever the batch size."),
        click.Option(
            ["--schedule"],
            type=choice(["auto", "stream", "stage"]),
            help="Run stages at the same time or one after another.  [default: auto]",
        ),
        click.Option(
            ["--on-error"],
            type=choice(["skip", "pass", "stop"]),
            help="What a failed row does.  [default: skip]",
        ),
        click.Option(["--retry-failed"], is_flag=True, help="Try rows again that failed before."),
        click.Option(
            ["--metadata"],
            type=choice(["none", "public", "full"]),
            help="What pictures say about how they were made.  [default: full]",
        ),
        click.Option(["--sheet"], type=path, metavar="FILE", help="Write a contact sheet."),
        click.Option(
            ["--deps"], type=path, metavar="FILE", help="Write what files are made of, for make."
        ),
        click.Option(
            ["--progress"],
            type=choice(["auto", "bar", "json", "none"]),
            help="Progress on stderr.  [default: auto]",
        ),
        click.Option(["--trace"], type=path, metavar="FILE", help="Write a Perfetto trace."),
    ]


class TextCommand(click.Command):
    """A command whose positional arguments after `--` are text, whatever they look like.

    Parameters
    ----------
    sections : title to the flags that help lists under it; the rest comes last, as options.
    """

    def __init__(
        self, name: str, *, sections: Mapping[str, Collection[str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name, **kwargs)
        self.sections = sections or {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options by section."""
        params = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for title, flags in {**self.sections, "Options": ()}.items():
            mine = [p for p in params if title == "Options" or not {*p.opts}.isdisjoint(flags)]
            params = [param for param in params if param not in mine]
            records = [record for param in mine if (record := param.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; what stood behind `--` goes to `ctx.meta` too."""
        ctx.meta["texts"] = tuple(args[args.index("--") + 1 :]) if "--" in args else ()
        return super().parse_args(ctx, args)


def inputs_argument(metavar: str = "[PROMPT|FILE|-]...") -> click.Argument:
    """The positional inputs of a command that runs rows."""
    return click.Argument(["inputs"], nargs=-1, metavar=metavar)
