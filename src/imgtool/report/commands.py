"""Shell commands that make one row again, from what the store says of its stages."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from imgtool.report.model import ROW, SOURCE, Command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imgtool.specs import Spec

    SpecOf = Callable[[str], Spec | None]

# Stages that add nothing to a picture: the row is known, so nothing need choose it again.
LEFT_OUT = ("select", "score")
READ = "imgtool image.read"
TARGET = "-o 'again/{id}.png'"
PIPE = " \\\n  | "


def given_params(params: Mapping[str, object], spec: Spec | None) -> dict[str, object]:
    """Parameters that differ from their defaults; without a spec, those that say something."""
    if spec is None:
        return {name: value for name, value in params.items() if value not in (None, [])}
    defaults = {param.name: _listed(param.default) for param in spec.params}
    return {n: v for n, v in params.items() if n not in defaults or _listed(v) != defaults[n]}


def command(
    chain: Sequence[tuple[str, Mapping[str, object]]], spec_of: SpecOf, has_pictures: bool
) -> Command:
    """The command of one row of the last stage of `chain`.

    Parameters
    ----------
    chain : ids and parameters of the stages from the source on.
    spec_of : declaration of a stage, None where its plugin is not at hand.
    has_pictures : whether the row ends in a picture; else its values are printed.
    """
    needed = [step for step in chain[:-1] if step[0].partition(".")[0] not in LEFT_OUT]
    parts: list[str | int] = [SOURCE]
    for use, params in [*needed, *chain[-1:]]:
        options = "".join(f" {option}" for option in _options(given_params(params, spec_of(use))))
        parts += [f"{PIPE}imgtool {use}{options} --row ", ROW]
    return Command((*parts, f" {TARGET}" if has_pictures else " --json"))


def source_command(values: Mapping[str, object], arrays: Sequence[str]) -> str:
    """Shell text that prints a source row; empty where it holds an array that no file brings."""
    row = {name: value for name, value in values.items() if value is not None}
    if row.get("source_prompt") == row.get("prompt"):
        row.pop("source_prompt", None)  # a row that is read has its prompt for one
    printed = f"printf '%s\\n' {shlex.quote(_json(row))}"
    if not arrays:
        return printed
    return f"{printed}{PIPE}{READ}" if list(arrays) == ["image"] and row.get("path") else ""


def _json(value: object) -> str:
    """JSON on one line in which letters stay readable and nothing invisible stays raw."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _options(params: Mapping[str, object]) -> list[str]:
    found = []
    for name, value in params.items():
        flag = ("-" if len(name) == 1 else "--") + name.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            found.append(flag if value else f"--no-{flag.lstrip('-')}")
        elif isinstance(value, list | tuple):
            texts = [str(item) for item in value]
            numeric = all(isinstance(item, int | float) for item in value)
            found += [_option(flag, text) for text in ([",".join(texts)] if numeric else texts)]
        else:
            found.append(_option(flag, _json(value) if isinstance(value, dict) else str(value)))
    return found


def _option(flag: str, text: str) -> str:
    if text.startswith("-") and flag.startswith("--"):
        return f"{flag}={shlex.quote(text)}"
    return f"{flag} {shlex.quote(text)}"


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
