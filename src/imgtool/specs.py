"""What is known of a component without importing it: light values that go through JSON."""

from __future__ import annotations

import importlib
import sys
import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from imgtool.fields import Field, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType


@dataclass(frozen=True)
class Component:
    """One thing that a plugin owns.

    Attributes
    ----------
    kind : `stage`, `maker`, `model`, `engine`, `exporter`, `command`, `train`, `bench`, or a kind
        that plugins define for each other.
    name : name in commands and pipelines; a stage's id.
    where : `package.module:Attr` or `/path/to/file.py:Attr`, imported when used; for a model
        `package:folder`.
    summary : one line.
    meta : further facts of the kind, such as a model's `task`.
    dist : distribution that owns it; filled in by the registry.
    """

    kind: str
    name: str
    where: str
    summary: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)
    dist: str = ""


@dataclass(frozen=True)
class ParamSpec:
    """One parameter of a stage or maker.

    Attributes
    ----------
    type : `int`, `float`, `str`, `bool`, `record`, or `list[…]` of one of them.
    default : value when not given; None also when `required`.
    low, high : inclusive limits, of the items of a list too.
    choices : values offered; others are refused when `closed`.
    model_task : task of the model that it refers to, or empty.
    is_stage : whether it names another stage, with parameters.
    path_what : what the file that it names holds, or empty.
    path_existing : whether that file must exist.
    nullable : whether None is a value.
    """

    name: str
    type: str
    default: Any = None
    help: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    closed: bool = False
    model_task: str = ""
    path_what: str = ""
    path_existing: bool = False
    required: bool = False
    nullable: bool = False
    is_stage: bool = False

    @property
    def item_type(self) -> str:
        """Type of one value: of the items, for a list."""
        return self.type[5:-1] if self.is_list else self.type

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return self.type.startswith("list[")


@dataclass(frozen=True)
class Spec:
    """The declaration of one stage or maker, computed from its class.

    Attributes
    ----------
    kind : `stage`, `maker` or another kind whose classes have params.
    where : `package.module:Class`.
    dist : distribution that owns it.
    default : whether the bare family name means it.
    task : for a maker, task of the model that it makes.
    """

    kind: str
    id: str
    version: int
    summary: str
    scope: str
    consumes: tuple[Field, ...]
    produces: tuple[Field, ...]
    params: tuple[ParamSpec, ...]
    dist: str
    where: str
    default: bool = False
    task: str = ""

    @property
    def family(self) -> str:
        """The part of the id before the first dot."""
        return self.id.partition(".")[0]

    @property
    def owned(self) -> str:
        """The id with its owner, `dist:id`: one stage even where two plugins have the id."""
        return f"{self.dist}:{self.id}" if self.dist else self.id

    def param(self, name: str) -> ParamSpec | None:
        """The parameter `name`, if there is one."""
        return next((param for param in self.params if param.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spec:
        """The inverse of `as_json`, also after a round trip through text."""
        return cls(
            **{
                **data,
                "consumes": tuple(_field(item) for item in data["consumes"]),
                "produces": tuple(_field(item) for item in data["produces"]),
                "params": tuple(
                    ParamSpec(**{**item, "choices": tuple(item["choices"])})
                    for item in data["params"]
                ),
            }
        )


_FILES = threading.RLock()


def _field(data: Mapping[str, Any]) -> Field:
    return Field(**{**data, "kind": Kind(data["kind"]), "dims": tuple(data["dims"])})


def load(where: str) -> Any:
    """Import the object at `package.module:Attr` or `/path/to/file.py:Attr`."""
    module, _, attribute = where.rpartition(":")
    target: Any = import_plugin(module)
    for part in attribute.split("."):
        target = getattr(target, part)
    return target


def is_file(module: str) -> bool:
    """Whether a module is named by its file, as those given with `--plugin` are."""
    return module.endswith(".py")


def import_plugin(module: str) -> ModuleType:
    """Import a module by name, or a file by path; its path is then its name in `sys.modules`.

    Threads may ask for one module at once: none gets it before it is whole.
    """
    if not is_file(module):
        return importlib.import_module(module)
    with _FILES:
        return sys.modules.get(module) or _import_file(module)


def _import_file(module: str) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    found = spec_from_file_location(module, module)
    if found is None or found.loader is None:
        raise ImportError(f"{module} is no Python file")
    made = module_from_spec(found)
    sys.modules[module] = made  # dataclasses look their module up while it runs
    try:
        found.loader.exec_module(made)
    except BaseException:
        del sys.modules[module]
        raise
    return made
