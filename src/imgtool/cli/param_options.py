"""Options of one stage or maker, made from its spec. No plugin is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgtool.params import parse_value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from click.shell_completion import CompletionItem

    from imgtool.specs import ParamSpec, Spec

PREFIX = "param__"
# What people type daily, alike in every stage: name and type to a short flag.
SHORT = {("scale", "float"): "-s"}


def param_options(spec: Spec) -> list[click.Option]:
    """One option a parameter, in the order of the declaration."""
    return [_option(param) for param in spec.params]


def flags(options: Collection[click.Parameter]) -> set[str]:
    """Every spelling that `options` take."""
    return {flag for option in options for flag in (*option.opts, *option.secondary_opts)}


def given_params(spec: Spec, values: Mapping[str, object]) -> dict[str, object]:
    """Parameters that were given on the command line.

    Raises
    ------
    BadParams : a list or record is not written well.
    """
    given = {}
    for param in spec.params:
        value = values.get(PREFIX + param.name)
        if value is None or value == ():
            continue
        given[param.name] = _value(param, value)
    return given


def _option(param: ParamSpec) -> click.Option:
    flag = param.name.replace("_", "-")
    name = PREFIX + param.name
    help_ = _help(param)
    if param.type == "bool":
        return click.Option([f"--{flag}/--no-{flag}", name], default=None, help=help_)
    dash = "-" if len(flag) == 1 else "--"
    return _Completed(
        [*filter(None, [SHORT.get((param.name, param.type))]), dash + flag, name],
        spec=param,
        type=_type(param),
        multiple=param.is_list,
        help=help_,
        metavar=_metavar(param),
    )


class _Completed(click.Option):
    """An option that completes model names and choices from the spec."""

    def __init__(self, *args: object, spec: ParamSpec, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed to click as they come
        self.spec = spec

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Choices, models of the parameter's task, or stages."""
        from click.shell_completion import CompletionItem

        if self.spec.path_what:
            return [CompletionItem(incomplete, type="file")]
        offered = list(self.spec.choices)
        if self.spec.model_task or self.spec.is_stage:
            from imgtool.cli.loaded import load_registry

            found_of = load_registry(ctx).components
            task = self.spec.model_task
            offered += [m.name for m in found_of("model") if task and m.meta.get("task") == task]
            offered += [stage.name for stage in found_of("stage") if self.spec.is_stage]
        found = [CompletionItem(name) for name in offered if name.startswith(incomplete)]
        return found or super().shell_complete(ctx, incomplete)


def _type(param: ParamSpec) -> click.Choice[str] | click.ParamType[str]:
    if param.choices and param.closed and param.item_type == "str":
        return click.Choice(list(param.choices))
    return click.STRING


def _metavar(param: ParamSpec) -> str | None:
    if param.choices and param.closed:
        return None
    if param.model_task:
        return "MODEL"
    if param.is_stage:
        return "STAGE"
    if param.path_what:
        return "PATH"
    return {"int": "N", "float": "X", "str": "TEXT", "record": "JSON"}.get(param.item_type, "VALUE")


def _help(param: ParamSpec) -> str:
    marks = []
    if param.choices and not param.closed:
        marks.append("such as " + ", ".join(param.choices))
    if param.required:
        marks.append("required")
    elif param.default not in (None, "", (), []):
        marks.append(f"default: {_shown(param.default)}")
    if param.low is not None or param.high is not None:
        low, high = ("" if side is None else f"{side:g}" for side in (param.low, param.high))
        marks.append(f"{low}..{high}")
    if param.is_list:
        marks.append("may be repeated")
    return f"{param.help}  [{'; '.join(marks)}]" if marks else param.help


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(param: ParamSpec, value: object) -> object:
    # Commas part numbers, never texts: a prompt or a LoRA path may hold one.
    if param.is_list and isinstance(value, tuple):
        if param.item_type == "str":
            return list(value)
        return parse_value(param, ",".join(str(item) for item in value))
    return parse_value(param, value) if isinstance(value, str) else value
