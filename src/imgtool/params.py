"""Values of parameters: parsed from text, checked by their specs, made into a params instance.

`cheap_check` needs neither pydantic nor the plugin; `validate` is the full check before a run.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from imgtool.errors import BadParams, near

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from pydantic import TypeAdapter

    from imgtool.specs import ParamSpec, Spec

P = TypeVar("P")

REFERENCE = re.compile(r"(?P<name>.*?)(?::(?P<given>[\w-]+=.*))?", re.DOTALL)
PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]*@.*", re.IGNORECASE)
WORDS = {"true": True, "yes": True, "on": True, "1": True}
WORDS |= {"false": False, "no": False, "off": False, "0": False}
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "text"),
    "bool": ((bool,), "true or false"),
    "record": ((dict,), "a table"),
}


def cheap_check(spec: Spec, values: Mapping[str, object]) -> dict[str, Any]:
    """Every parameter of `spec` with its value, defaults filled in, in canonical JSON form.

    Equal settings give equal results: a whole number given for a float becomes a float, and the
    order is that of the declaration.

    Raises
    ------
    BadParams : a name is unknown, or a value has the wrong type, is out of bounds or missing.
    """
    return check_values(spec.id, spec.params, values)


def check_values(
    owner: str, params: Sequence[ParamSpec], values: Mapping[str, object]
) -> dict[str, Any]:
    """`cheap_check` for params that belong to no stage; `owner` is named in messages."""
    for name in values:
        find_param(owner, params, name)
    checked: dict[str, Any] = {}
    for param in params:
        if param.name in values:
            checked[param.name] = _checked(owner, param, values[param.name])
        elif param.required:
            one_of = f" One of: {', '.join(map(str, param.choices))}" if param.choices else ""
            raise BadParams(f"{owner}: {param.name!r} must be given", f"{param.help}{one_of}")
        else:
            checked[param.name] = _canonical(param, param.default)
    return checked


def check_value(owner: str, param: ParamSpec, value: object) -> None:
    """Check one value alone.

    Raises
    ------
    BadParams : it has the wrong type, is out of bounds or no choice.
    """
    _checked(owner, param, value)


def find_param(owner: str, params: Sequence[ParamSpec], name: str) -> ParamSpec:
    """The parameter `name` among `params`.

    Raises
    ------
    BadParams : there is none; with a near match.
    """
    known = [param.name for param in params]
    if name in known:
        return params[known.index(name)]
    raise BadParams(
        f"{owner}: unknown parameter {name!r}",
        f"{near(name, known)}It takes: {', '.join(known) or 'no parameters'}",
    )


def parse_value(param: ParamSpec, text: str) -> object:
    """The value that `text`, from a command line, means for `param`. A list is comma-separated.

    Raises
    ------
    BadParams : the text means no value of that type.
    """
    if param.nullable and text.lower() in ("none", ""):
        return None
    if param.is_list and text.lstrip().startswith("["):
        return _parsed(param, json.loads, text)
    if param.is_list:
        return [_parse_item(param, part.strip()) for part in text.split(",") if part.strip()]
    return _parse_item(param, text)


def parse_reference(text: str, spec_of: Callable[[str], Spec]) -> tuple[Spec, dict[str, object]]:
    """The stage that `NAME` or `NAME:key=value,key=value` names, and the parameters given to it.

    Raises
    ------
    BadParams : it has no such parameter, or takes no such value.
    """
    match = REFERENCE.fullmatch(text)
    assert match is not None  # any text is at least a name
    spec = spec_of(match["name"])
    given: dict[str, object] = {}
    for item in filter(None, re.split(r",(?=[\w-]+=)", match["given"] or "")):
        key, _, value = item.partition("=")
        param = find_param(spec.id, spec.params, key.replace("-", "_"))
        given[param.name] = parse_value(param, value)
    return spec, given


def validate(params_type: type[P], values: Mapping[str, object]) -> P:
    """An instance of the params dataclass, checked by its declaration and by pydantic.

    Raises
    ------
    BadParams : naming the first parameter that is wrong, and what it takes.
    """
    from pydantic import ValidationError

    from imgtool.declared import param_specs

    owner = params_type.__qualname__
    checked = check_values(owner, param_specs(params_type), values)
    given = {name: value for name, value in checked.items() if name in values}
    try:
        instance: P = _adapter(cast("Hashable", params_type)).validate_python(given)
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise BadParams(f"{owner}: {f'{where}: ' if where else ''}{what}") from err
    return instance


def as_json(params: object) -> dict[str, Any]:
    """The values of a params instance in canonical JSON form, the one that names results."""
    from imgtool.declared import param_specs, plain

    specs = {param.name: param for param in param_specs(type(params))}
    return {
        field.name: _canonical(specs[field.name], plain(getattr(params, field.name)))
        for field in fields(params)  # type: ignore[arg-type]  # any params dataclass
        if field.name in specs
    }


@lru_cache(maxsize=256)
def _adapter(params_type: Hashable) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(cast("Any", params_type))


def _checked(owner: str, param: ParamSpec, value: object) -> object:
    if value is None and param.nullable:
        return None
    if param.is_list:
        if not isinstance(value, list | tuple):
            raise BadParams(f"{owner}: {param.name!r} takes a list, not {value!r}", param.help)
        return [_checked_item(owner, param, item) for item in value]
    return _checked_item(owner, param, value)


def _checked_item(owner: str, param: ParamSpec, value: object) -> object:
    types, wanted = KINDS[param.item_type]
    wrong_bool = isinstance(value, bool) and param.item_type != "bool"
    if not isinstance(value, types) or wrong_bool:
        raise BadParams(f"{owner}: {param.name!r} takes {wanted}, not {value!r}", param.help)
    if isinstance(value, str) and PASSWORD.fullmatch(value):
        # Stores and pictures keep every parameter: it is refused before anything is written.
        raise BadParams(
            f"{owner}: {param.name!r} holds a password",
            "Stages take keys from the environment, such as IMGTOOL_API_KEY",
        )
    if isinstance(value, int) and abs(value) >= 2**63:
        raise BadParams(f"{owner}: {param.name!r} takes {wanted} of fewer digits", param.help)
    if isinstance(value, int | float) and not isinstance(value, bool):
        _check_bounds(owner, param, value)
    if param.closed and str(value) not in param.choices:
        raise BadParams(
            f"{owner}: {param.name!r} has no choice {value!r}",
            f"{near(str(value), param.choices)}Choices: {', '.join(param.choices)}",
        )
    return _canonical_item(param, value)


def _check_bounds(owner: str, param: ParamSpec, value: float) -> None:
    if not math.isfinite(value):
        raise BadParams(f"{owner}: {param.name!r} must be a finite number, not {value!r}")
    if param.low is not None and value < param.low:
        raise BadParams(f"{owner}: {param.name!r} must be {param.low} or more, not {value!r}")
    if param.high is not None and value > param.high:
        raise BadParams(f"{owner}: {param.name!r} must be {param.high} or less, not {value!r}")


def _canonical(param: ParamSpec, value: object) -> object:
    if param.is_list and isinstance(value, list | tuple):
        return [_canonical_item(param, item) for item in value]
    return _canonical_item(param, value)


def _canonical_item(param: ParamSpec, value: object) -> object:
    if param.item_type == "float" and isinstance(value, int):
        return float(value)
    return value


def _parse_item(param: ParamSpec, text: str) -> object:
    parsers: dict[str, Callable[[str], object]] = {
        "int": int, "float": float, "bool": _parse_bool, "record": json.loads, "str": str,
    }  # fmt: skip
    return _parsed(param, parsers[param.item_type], text)


def _parsed(param: ParamSpec, parser: Callable[[str], object], text: str) -> object:
    try:
        return parser(text)
    except ValueError as err:
        wanted = KINDS[param.item_type][1]
        raise BadParams(f"{param.name!r} takes {wanted}, not {text!r}", param.help) from err


def _parse_bool(text: str) -> bool:
    try:
        return WORDS[text.lower()]
    except KeyError as err:
        raise ValueError(text) from err
