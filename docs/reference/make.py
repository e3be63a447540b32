"""Writes the reference pages from the declarations: `make docs`. A test compares them."""

from __future__ import annotations

import inspect
import os
import sys
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from imgtool import api, errors, fields, hookspecs
from imgtool.api import Maker, Stage
from imgtool.cli.root import COMMANDS, root
from imgtool.registry import Registry

FOLDER = Path(__file__).parent
OWN = (
    "imgtool",
    "imgtool-defocus",
    "imgtool-generate",
    "imgtool-prune",
    "imgtool-rewrite",
    "imgtool-score",
    "imgtool-search",
    "imgtool-sr",
    "imgtool-tabletop",
)


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


class Raw:
    """An annotation shown as it is written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def signature_of(value: Any) -> str:
    """The signature of a function or class, without `self` and what is private."""
    signature = inspect.signature(value)
    shown = [
        p.replace(annotation=Raw(p.annotation) if isinstance(p.annotation, str) else p.annotation)
        for p in signature.parameters.values()
        if p.name not in ("self", "cls") and not p.name.startswith("_")
    ]
    gives = signature.return_annotation
    if inspect.isclass(value):
        gives = inspect.Signature.empty
    elif isinstance(gives, str):
        gives = Raw(gives)
    return str(signature.replace(parameters=shown, return_annotation=gives))


def documented(value: Any) -> str:
    """The first paragraph of a docstring, and the rest as it stands."""
    first, _, rest = (inspect.getdoc(value) or "").partition("\n\n")
    return f"{first}\n\n```text\n{rest}\n```\n" if rest else f"{first}\n"


def methods_of(cls: type) -> list[str]:
    """A line for each public method and property that a class defines itself."""
    lines = []
    for name, member in vars(cls).items():
        function = getattr(member, "__func__", member)
        is_value = isinstance(member, property | cached_property)
        if name.startswith("_") or not (is_value or inspect.isfunction(function)):
            continue
        call = signature_of(function) if inspect.isfunction(function) else ""
        about = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
        lines.append(f"- `{name}{call}`: {about}")
    return lines


def name_entry(name: str) -> str:
    """One public name of `imgtool.api`."""
    value = getattr(api, name)
    if isinstance(value, fields.Field):
        shape = " × ".join(value.dims)
        about = " ".join(part for part in (str(value.kind), shape, value.dtype) if part)
        return f"## `{name}`\n\nThe field `{value.name}`, {about}. {value.summary}\n"
    if inspect.isclass(value) and issubclass(value, Enum):
        values = ", ".join(f"`{member.value}`" for member in value)
        return f"## `{name}(value)`\n\n{documented(value)}\nValues: {values}.\n"
    if not inspect.isclass(value):
        called = signature_of(value) if inspect.isfunction(value) else ""
        about = documented(value) if called else "Marks a function as the answer to a hook.\n"
        return f"## `{name}{called}`\n\n{about}"
    if issubclass(value, errors.ImgtoolError):
        about = f"Exit status {int(value.status)}. {documented(value)}"
        return f"## `{name}{signature_of(value)}`\n\n{about}"
    heading = "" if issubclass(value, Stage | Maker) else signature_of(value)
    methods = "\n".join(methods_of(value))
    return f"## `{name}{heading}`\n\n{documented(value)}" + (f"\n{methods}\n" if methods else "")


def hooks_page() -> str:
    """Hooks and the names of `imgtool.api` with their signatures."""
    lines = [
        "# Hooks and names\n",
        "How to use them: [write a stage](../how-to/write-a-stage.md).\n",
    ]
    for name, function in vars(hookspecs).items():
        if name.startswith("imgtool_"):
            lines.append(f"## `{name}{signature_of(function)}`\n\n{inspect.getdoc(function)}\n")
    lines.append("# Names of imgtool.api\n")
    lines += [name_entry(name) for name in api.__all__]
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


def help_of(command: click.Command, parent: click.Context, name: str) -> list[str]:
    """An entry for a command and for each below it; makers have their own page."""
    context = click.Context(
        command, info_name=name, parent=parent, terminal_width=80, max_content_width=80
    )
    lines = [f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group) and name != "train":
        for inner_name in command.list_commands(context):
            inner = command.get_command(context, inner_name)
            assert inner is not None
            lines += help_of(inner, context, inner_name)
    return lines


def commands_page() -> str:
    """Help of every built-in command."""
    context = click.Context(root, info_name="imgtool", terminal_width=80, max_content_width=80)
    lines = ["# Commands\n"]
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        lines += help_of(command, context, name)
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
