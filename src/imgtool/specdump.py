"""`python -m imgtool.specdump MODULE DIST OUT`: import one plugin and write what it declares.

Runs in a process of its own, started by the registry with a time limit, so that a plugin may
raise, exit or hang here. Each finding is one line of JSON, flushed at once: what was found before
a hang is kept. The last line is `{"end": true}`.
"""

from __future__ import annotations

import json
import signal
import sys
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pluggy

from imgtool import hookspecs
from imgtool.components import Component, import_plugin, is_file, load
from imgtool.declared import DeclarationError, spec_of
from imgtool.stages import Maker, Stage

if TYPE_CHECKING:
    from types import ModuleType

# the registry ends this process much earlier; this is for when the registry was killed itself
LIFETIME_S = 300
KINDS_WITH_SPEC = ("stage", "maker", "train")


def main(argv: list[str]) -> int:
    """Write the findings about one plugin to the file `argv[2]`."""
    module, dist, out = argv
    signal.alarm(LIFETIME_S)
    with Path(out).open("w", encoding="utf-8") as file:
        try:
            _dump(module, dist, file)
        except BaseException as err:  # noqa: BLE001 - the border to a plugin, exits included
            _write(file, {"broken": _reason(err, module)})
        _write(file, {"end": True})
    return 0


def _dump(module: str, dist: str, file: IO[str]) -> None:
    plugin = import_plugin(module)
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name=dist)
    hooks = [name for name in hookspecs.EVENTS if getattr(manager.hook, name).get_hookimpls()]
    _write(file, {"hooks": hooks})
    listed = [*manager.hook.imgtool_components(), *manager.hook.imgtool_commands()]
    if not listed and is_file(module):
        listed = [_classes(plugin)]
    components = [replace(item, dist=dist) for items in listed for item in items]
    for component in components:
        _write(file, {"component": asdict(component)})
    for component in components:
        if component.kind in KINDS_WITH_SPEC:
            _dump_spec(component, module, file)


def _classes(plugin: ModuleType) -> list[Component]:
    """The stages and makers of a file that has no registering hook: its public classes."""
    found = [
        Component(
            "stage" if issubclass(value, Stage) else "maker",
            str(getattr(value, "id", name)),
            f"{plugin.__name__}:{name}",
        )
        for name, value in vars(plugin).items()
        if isinstance(value, type)
        and issubclass(value, Stage | Maker)
        and value.__module__ == plugin.__name__
        and not name.startswith("_")
    ]
    if not found:
        raise DeclarationError("it holds no class that is a Stage or a Maker")
    return found


def _dump_spec(component: Component, module: str, file: IO[str]) -> None:
    name = {"kind": component.kind, "name": component.name}
    _write(file, {"trying": name})
    try:
        target: Any = load(component.where)
        if isinstance(target, type) and issubclass(target, Stage | Maker):
            _write(file, {"spec": spec_of(component, target).as_json()})
        elif component.kind != "train":
            raise DeclarationError(f"{component.where} is no Stage or Maker class")
    except BaseException as err:  # noqa: BLE001 - the border to a plugin, exits included
        _write(file, {"unusable": {**name, "reason": _reason(err, module)}})


def _reason(err: BaseException, module: str) -> str:
    lines = str(err.msg if isinstance(err, SyntaxError) else err).strip().splitlines()
    what = f"{type(err).__name__}: {lines[0] if lines else ''}".rstrip(": ")
    if isinstance(err, SystemExit):
        what = f"it exited with {err.code!r}"
    place = _place(err, module)
    return f"{what} ({place})" if place else what


def _place(err: BaseException, module: str) -> str:
    """File and line of the plugin's own code that raised, or called what raised; else empty."""
    if isinstance(err, SyntaxError):
        return f"{err.filename}:{err.lineno}"
    package = module.partition(".")[0]
    places = [
        f"{frame.filename}:{frame.lineno}"
        for frame in traceback.extract_tb(err.__traceback__)
        if frame.filename == module or package in Path(frame.filename).with_suffix("").parts
    ]
    return places[-1] if places else ""


def _write(file: IO[str], line: dict[str, Any]) -> None:
    file.write(json.dumps(line) + "\n")
    file.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
