"""What plugins own, and how it is imported when it is used."""

from __future__ import annotations

import importlib
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

_FILES = threading.RLock()


@dataclass(frozen=True)
class Component:
    """One thing that a plugin owns.

    Attributes
    ----------
    kind : `stage`, `maker`, `model`, `engine`, `exporter`, `command`, `train`, `bench`, `show`, or
        a kind that plugins define for each other.
    name : name in commands and pipelines; a stage's id.
    where : `package.module:Attr` or `/path/to/file.py:Attr`, imported when used; for a model
        `package:folder`.
    summary : one line.
    meta : further facts of the kind. A model's: `task`, `resolution`, `licence`, and `quality`, a
        sentence with names of `figures.json` in its folder, such as `{accuracy:.0%} right`.
    dist : distribution that owns it; filled in by the registry.
    """

    kind: str
    name: str
    where: str
    summary: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)
    dist: str = ""


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
