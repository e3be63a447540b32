"""The root group: commands of our own, then plugins' commands, stages and makers, all lazy.

Help is written from specs and the table below; a command's module is imported when it runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

from imgtool import __version__
from imgtool.cli.loaded import load_registry, summary_of
from imgtool.errors import AmbiguousComponent, BrokenPlugin, UnknownComponent, near

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from imgtool.registry import Registry

MAX_WIDTH = 100
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("imgtool.cli.run:run", "Run a pipeline, or reproduce a picture."),
    "train": ("imgtool.cli.train:train", "Train a model."),
    "bench": ("imgtool.cli.train:bench", "Run a bench suite."),
    "show": ("imgtool.cli.show:show", "Show a store, a picture or a pipeline."),
    "export": ("imgtool.cli.export:export", "Write pictures out of a store or a stream."),
    "report": ("imgtool.cli.report:report", "Write one HTML page about runs."),
    "pipeline": ("imgtool.cli.pipelines:pipeline", "List, show and check pipelines."),
    "stages": ("imgtool.cli.stages:stages", "List stages and makers with their parameters."),
    "models": ("imgtool.cli.models:models", "List models by task."),
    "store": ("imgtool.cli.stores:store", "Look into, verify, tidy and pack stores."),
    "plugin": ("imgtool.cli.plugins:plugin", "Write, check, list and disable plugins."),
    "doctor": ("imgtool.cli.doctor:doctor", "Report devices, plugins and places."),
    "completion": ("imgtool.cli.completion:completion", "Print a completion script for a shell."),
}


class Lazy(click.Group):
    """A group whose commands are found when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name that completion offers."""
        registry = load_registry(ctx)
        kinds = ("command", "stage", "maker")
        plugged = [item.name for kind in kinds for item in registry.components(kind)]
        families = [name.partition(".")[0] for name in plugged if "." in name]
        return list(dict.fromkeys([*COMMANDS, *sorted(families), *sorted(plugged)]))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Our own command, a plugin's, or one generated from the spec of a stage or maker."""
        if cmd_name in COMMANDS:
            return _imported(COMMANDS[cmd_name][0])
        registry = load_registry(ctx)
        for item in registry.components("command"):
            if item.name == cmd_name:
                command = registry.resolve("command", cmd_name)
                assert isinstance(command, click.Command)
                return command
        return _generated(registry, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a near match for a name that nothing has."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            if name.startswith("-"):
                self.parse_args(ctx, args)
            self._refuse(ctx, name)
        return name, command, args[1:]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names alone; click would make every command to see whether it is hidden."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        names = self.list_commands(ctx)
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    def _refuse(self, ctx: click.Context, name: str) -> NoReturn:
        raise UnknownComponent(
            f"no command or stage is called {name!r}",
            f"{near(name, self.list_commands(ctx))}imgtool --help lists all",
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Three lists: commands, stages, makers."""
        registry = load_registry(ctx)
        own = [(name, help_) for name, (_, help_) in COMMANDS.items()]
        own += [(item.name, item.summary) for item in registry.components("command")]
        lists = {"Commands": own}
        for title, kind in (("Stages", "stage"), ("Makers", "maker")):
            lists[title] = [(c.name, summary_of(registry, c)) for c in registry.components(kind)]
        for title, rows in lists.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _imported(where: str) -> click.Command:
    module, _, attribute = where.partition(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


def _generated(registry: Registry, name: str) -> click.Command | None:
    for kind in ("stage", "maker"):
        try:
            spec = registry.spec(kind, name)
        except (AmbiguousComponent, BrokenPlugin):
            raise
        except UnknownComponent:
            continue
        if kind == "stage":
            from imgtool.cli.stage_command import stage_command

            return stage_command(spec, name)
        from imgtool.cli.maker_command import maker_command

        return maker_command(spec, name)
    return None


def _width() -> int:
    """Width of help. Asked here since click imports shutil, and all compression, to ask."""
    import os

    try:
        columns = int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size().columns
    except (OSError, ValueError):
        columns = 80
    return max(min(columns, MAX_WIDTH) - 2, 50)


def _keep_files(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    ctx.meta["plugin_files"] = value


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"imgtool {__version__}")
        ctx.exit()


root = Lazy(
    "imgtool",
    help="Text-to-image pipelines that pipe, resume and take plugins.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": _width()},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version.",
        ),
        click.Option(
            ["--plugin"],
            multiple=True,
            metavar="FILE",
            is_eager=True,
            expose_value=False,
            callback=_keep_files,
            help="Try the stages of a Python file; may be repeated.",
        ),
        click.Option(["--debug"], is_flag=True, expose_value=False, help="Show tracebacks."),
    ],
)
