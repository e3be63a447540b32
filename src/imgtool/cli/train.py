"""`imgtool train NAME` and `imgtool bench SUITE`: components that act once, over no rows.

Examples
--------
imgtool train --help
imgtool train tabletop --help
imgtool bench tabletop
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgtool.cli.loaded import load_registry, summary_of
from imgtool.errors import UnknownComponent, near

if TYPE_CHECKING:
    from imgtool.components import Component


class ByKind(click.Group):
    """A group of every component of one kind, and of makers of the family of that name."""

    def _named(self, ctx: click.Context) -> dict[str, Component]:
        assert self.name is not None
        registry = load_registry(ctx)
        prefix = f"{self.name}."
        found = {
            c.name.removeprefix(prefix): c
            for c in registry.components("maker")
            if c.name.startswith(prefix)
        }
        return {**found, **{c.name: c for c in registry.components(self.name)}}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names without the prefix of the kind."""
        return sorted(self._named(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The component's own command, or one generated from a maker's spec."""
        component = self._named(ctx).get(cmd_name)
        if component is None:
            return None
        registry = load_registry(ctx)
        if component.kind == "maker":
            from imgtool.cli.maker_command import maker_command

            return maker_command(registry.spec("maker", component.name), cmd_name)
        found = registry.resolve(component.kind, component.name)
        if isinstance(found, click.Command):
            return found
        return click.Command(
            cmd_name,
            params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
            callback=lambda arguments: found(list(arguments)),
            context_settings={"ignore_unknown_options": True, "help_option_names": []},
        )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a near match."""
        command = self.get_command(ctx, args[0])
        if command is None:
            known = self.list_commands(ctx)
            raise UnknownComponent(
                f"nothing to {self.name} is called {args[0]!r}",
                f"{near(args[0], known)}Known: {', '.join(known) or 'none'}",
            )
        return args[0], command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and summaries, without importing anything."""
        registry = load_registry(ctx)
        rows = [(name, summary_of(registry, c)) for name, c in sorted(self._named(ctx).items())]
        if rows:
            with formatter.section("Names"):
                formatter.write_dl(rows)


train = ByKind(
    "train", help="Train a model; it is resumed where it was stopped.", no_args_is_help=True
)
bench = ByKind("bench", help="Run a bench suite.", no_args_is_help=True)
