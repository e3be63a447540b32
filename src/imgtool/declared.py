"""Specs computed from classes. Runs where plugins may be imported: see `imgtool.specdump`."""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from imgtool.specs import ParamSpec, Spec
from imgtool.stages import (
    Bounds,
    Choices,
    FieldRef,
    Help,
    Maker,
    ModelRef,
    PathTo,
    Scope,
    Stage,
    StageRef,
)

if TYPE_CHECKING:
    from dataclasses import Field

    from imgtool.components import Component

SCALARS: dict[Any, str] = {int: "int", float: "float", str: "str", bool: "bool", Path: "str"}


class DeclarationError(TypeError):
    """A class declares itself in a way that imgtool cannot offer. For authors of plugins."""


@dataclass(frozen=True)
class NoParams:
    """Params of a stage that has none."""


def params_type(cls: type) -> type:
    """The params dataclass of a stage or maker class: the argument of `Stage[…]`."""
    for base in cls.__mro__:
        for generic in getattr(base, "__orig_bases__", ()):
            origin, args = get_origin(generic), get_args(generic)
            if isinstance(origin, type) and issubclass(origin, Stage | Maker) and args:
                if isinstance(args[0], type) and is_dataclass(args[0]):
                    return args[0]
                if args[0] is type(None):
                    return NoParams
    return NoParams


def spec_of(component: Component, cls: type) -> Spec:
    """The spec of a stage or maker class.

    Raises
    ------
    DeclarationError : the class lacks an id, has another than the component's name, or declares
        what no stage can.
    """
    declared = getattr(cls, "id", None)
    if declared != component.name:
        raise DeclarationError(f"{component.where} has id {declared!r}, not {component.name!r}")
    scope = str(getattr(cls, "scope", Scope.ROW))
    if scope not in [str(known) for known in Scope]:
        raise DeclarationError(f"{component.where} has scope {scope!r}; use row, siblings or run")
    produces = tuple(getattr(cls, "produces", ()))
    if any(field.is_array and field.name.endswith(".*") for field in produces):
        raise DeclarationError(f"{component.where} produces arrays of any name; name each")
    return Spec(
        kind=component.kind,
        id=component.name,
        version=int(getattr(cls, "version", 1)),
        summary=getattr(cls, "summary", "") or component.summary,
        scope=scope,
        consumes=tuple(getattr(cls, "consumes", ())),
        produces=produces,
        params=param_specs(params_type(cls)),
        dist=component.dist,
        where=component.where,
        default=bool(getattr(cls, "default_of_family", False)),
        task=str(getattr(cls, "task", "")),
    )


def param_specs(params: type) -> tuple[ParamSpec, ...]:
    """One spec for each field of a params dataclass.

    Raises
    ------
    DeclarationError : a field has a type that no command line or TOML file can give.
    """
    hints = typing.get_type_hints(params, include_extras=True)
    return tuple(_param(field, hints[field.name]) for field in fields(params) if field.init)


def _param(field: Field[Any], hint: Any) -> ParamSpec:
    hint, outer = _without_marks(hint)
    hint, nullable = _without_none(hint)
    hint, inner = _without_marks(hint)
    marks = (*outer, *inner)
    kind, literals = _type_name(field.name, hint)
    bounds = _mark(marks, Bounds) or Bounds()
    choices = _mark(marks, Choices) or Choices(literals, closed=bool(literals))
    path = _mark(marks, PathTo)
    model = _mark(marks, ModelRef)
    text = _mark(marks, Help)
    required = field.default is MISSING and field.default_factory is MISSING
    return ParamSpec(
        name=field.name,
        type=kind,
        default=None if required else plain(_default(field)),
        help=text.text if text else "",
        low=bounds.low,
        high=bounds.high,
        choices=tuple(choices.values),
        closed=choices.closed and bool(choices.values),
        model_task=model.task if model else "",
        path_what=path.what if path else "",
        path_existing=bool(path and path.existing),
        required=required,
        nullable=nullable,
        is_stage=_mark(marks, StageRef) is not None,
        is_field=_mark(marks, FieldRef) is not None,
    )


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _mark(marks: tuple[Any, ...], kind: type) -> Any:
    return next((mark for mark in marks if isinstance(mark, kind)), None)


def _without_marks(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(hint) is typing.Annotated:
        hint, *marks = get_args(hint)
        return hint, tuple(marks)
    return hint, ()


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return hint, False


def _type_name(name: str, hint: Any) -> tuple[str, tuple[str, ...]]:
    """Name of a type, and the values it is limited to."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in SCALARS:
        return SCALARS[hint], ()
    if origin is Literal and all(isinstance(arg, str) for arg in args):
        return "str", args
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "str", tuple(str(member.value) for member in hint)
    if origin is list or (origin is tuple and len(args) == 2 and args[1] is Ellipsis):
        item, literals = _type_name(name, args[0])
        return f"list[{item}]", literals
    if origin is tuple and args and len(set(args)) == 1:
        item, literals = _type_name(name, args[0])
        return f"list[{item}]", literals
    if hint is dict or origin is dict:
        return "record", ()
    raise DeclarationError(
        f"parameter {name!r} has type {hint}; use int, float, str, bool, a Literal or Enum of "
        "texts, dict, or a list or tuple of one of them"
    )


def plain(value: Any) -> Any:
    """`value` as JSON values: enums as their value, tuples as lists, paths as text."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value
