"""Writes the reference pages from the declarations: `make docs`. A test compares them."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path

import click

from imgtool import errors, fields, hookspecs
from imgtool.cli.root import root
from imgtool.registry import Registry

FOLDER = Path(__file__).parent
OWN = ("imgtool", "imgtool-generate", "imgtool-rewrite", "imgtool-tabletop")


def errors_page() -> str:
    """One entry an error class: exit status, meaning, what to do."""
    lines = [
        "# Errors\n",
        "Each error is one line and a hint on stderr. `--debug` adds the trace, whose last line",
        "names the class; `--progress json` writes the error as one more JSON line, its `code` the",
        "class. Where a message brings no hint of its own, the hint is the one listed here.\n",
    ]
    for name, cls in sorted(vars(errors).items()):
        if inspect.isclass(cls) and issubclass(cls, errors.ImgtoolError):
            meaning = (inspect.getdoc(cls) or "").split("\n\n")[0]
            lines.append(f"## {name}\n\nExit status {int(cls.status)}. {meaning}\n")
            lines.append(f"What to do: {cls.remedy}.\n")
    return "\n".join(lines)


def fields_page() -> str:
    """The fields that imgtool knows."""
    rows = [
        f"| `{f.name}` | {f.kind} | {' × '.join(f.dims)} | {f.dtype} | {f.summary} |"
        for f in fields.KNOWN.values()
    ]
    head = "# Fields\n\n| name | kind | dimensions | dtype | holds |\n"
    head += "| --- | --- | --- | --- | --- |\n"
    return head + "\n".join(rows) + "\n"


def hooks_page() -> str:
    """Hooks with their signatures."""
    lines = ["# Hooks\n"]
    for name, function in vars(hookspecs).items():
        if name.startswith("imgtool_"):
            signature = str(inspect.signature(function)).replace("'", "")
            lines.append(f"## `{name}{signature}`\n\n{inspect.getdoc(function)}\n")
    return "\n".join(lines)


def stages_page() -> str:
    """Stages and makers of the first-party distributions with their parameters."""
    registry = Registry.load()
    lines = ["# Stages and makers\n"]
    for kind in ("stage", "maker"):
        for spec in sorted(registry.specs(kind), key=lambda spec: spec.id):
            if spec.dist not in OWN:
                continue
            lines.append(f"## `{spec.id}`\n\n{spec.summary}\n")
            for p in spec.params:
                default = "required" if p.required else f"default `{p.default!r}`"
                lines.append(f"- `{p.name}` ({p.type}, {default}): {p.help}")
            lines.append("")
    return "\n".join(lines)


def commands_page() -> str:
    """Help of every built-in command."""
    lines = ["# Commands\n"]
    for name in ("run", "show", "export", "pipeline", "stages", "models", "store", "doctor"):
        context = click.Context(root, info_name="imgtool", terminal_width=80, max_content_width=80)
        command = root.get_command(context, name)
        assert command is not None
        inner = click.Context(
            command, info_name=name, parent=context, terminal_width=80, max_content_width=80
        )
        lines.append(f"## imgtool {name}\n\n```text\n{command.get_help(inner)}\n```\n")
    return "\n".join(lines)


PAGES = {
    "errors.md": errors_page,
    "fields.md": fields_page,
    "hooks.md": hooks_page,
    "stages.md": stages_page,
    "commands.md": commands_page,
}


def main() -> int:
    """Write every page; with `--check`, only say whether all are up to date."""
    os.environ["NO_COLOR"] = "1"
    stale = [
        n
        for n, page in PAGES.items()
        if not (FOLDER / n).exists() or (FOLDER / n).read_text() != page()
    ]
    if "--check" in sys.argv:
        sys.stderr.writelines(f"{name} is not up to date: make docs\n" for name in stale)
        return 1 if stale else 0
    for name in stale:
        (FOLDER / name).write_text(PAGES[name]())
    return 0


if __name__ == "__main__":
    sys.exit(main())
