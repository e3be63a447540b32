"""`imgtool completion`: a script that makes a shell complete imgtool.

Examples
--------
imgtool completion bash > ~/.local/share/bash-completion/completions/imgtool
imgtool completion fish > ~/.config/fish/completions/imgtool.fish
"""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from imgtool.cli.output import Output

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL."""
    found = get_completion_class(shell)
    assert found is not None
    script = found(ctx.find_root().command, {}, "imgtool", "_IMGTOOL_COMPLETE")
    Output.plain().verbatim(source_of(script))


def source_of(script: ShellComplete) -> str:
    """The script, without asking the shell for its version."""
    # BashComplete.source() starts bash to check its version, which need not be installed here.
    return (script.source_template % script.source_vars()).strip()
