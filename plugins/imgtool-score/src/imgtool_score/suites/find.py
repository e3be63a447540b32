"""The suite that a command names: a plugin's, a published one in a folder, or a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.api import UnknownComponent, current_registry, write_file
from imgtool_score.suites.files import objects_of
from imgtool_score.suites.model import Suite, suite_of

if TYPE_CHECKING:
    from collections.abc import Callable

SUITE, LAYOUT = "bench-suite", "bench-layout"


def find_suite(ref: str) -> Suite:
    """The suite that `ref` names.

    Parameters
    ----------
    ref : `NAME` of a component of kind `bench-suite`, `LAYOUT:PATH` with a component of kind
        `bench-layout`, or a suite file.

    Raises
    ------
    UnknownComponent, InputMissing, InputUnreadable, InputEmpty : as the names say.
    """
    registry = current_registry()
    layouts = [component.name for component in registry.components(LAYOUT)]
    name, colon, place = ref.partition(":")
    if colon and name in layouts:
        read: Callable[[Path], Any] = registry.resolve(LAYOUT, name)
        return suite_of(read(Path(place)), place)
    suites = [component.name for component in registry.components(SUITE)]
    if ref not in suites and (Path(ref).suffix == ".jsonl" or "/" in ref):
        return read_suite(Path(ref))
    try:
        made: Callable[[], Any] = registry.resolve(SUITE, ref)
    except UnknownComponent as err:
        raise UnknownComponent(
            f"no benchmark suite is called {ref!r}",
            f"{err.hint}; or a suite file, or LAYOUT:FOLDER with {', '.join(layouts)}",
        ) from None
    return suite_of(made(), f"suite {ref!r}")


def read_suite(path: Path) -> Suite:
    """The suite in a file of lines: the first says what it is, each other one an item.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty : as the names say, with file and line.
    """
    (_, head), *rest = objects_of(path)
    items = [value for _, value in rest]
    return suite_of({**head, "items": items}, str(path), [line for line, _ in rest])


def write_suite(path: Path, suite: Suite) -> None:
    """Replace `path` by the suite as a file of lines.

    Raises
    ------
    OutputUnwritable, StorageFull : as the names say.
    """
    document = suite.as_json()
    items = document.pop("items")
    lines = [json.dumps(value, sort_keys=True, ensure_ascii=False) for value in (document, *items)]
    write_file(path, "".join(f"{line}\n" for line in lines).encode())
