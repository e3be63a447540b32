"""What each installed plugin declares, from the user's cache where its files have not changed.

A plugin is imported only in a process of its own, with a time limit: one that raises, exits or
hangs is recorded with the reason and takes nothing else down.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from imgtool.components import Component
from imgtool.errors import InputMissing, UsageError
from imgtool.paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imgtool.specrun import Dump
    from imgtool.specs import Spec

GROUP = "imgtool"
FORMAT = 2
TIME_LIMIT_S = 30.0
RETRY_TIMEOUT_S = 600.0
OWN = "imgtool"
SOURCES = ("components", "declared", "fields", "specdump", "specs", "stages")
"""Modules by which specs are computed."""


class Plugin(NamedTuple):
    """One entry point of the group `imgtool`.

    Attributes
    ----------
    dist : name of the distribution.
    name : name of the entry point.
    module : module that registers the components; of a file given with `--plugin`, its path.
    root : folder or file of its top-level package; empty when that was not found.
    """

    dist: str
    name: str
    module: str
    root: str


class PluginProblem(NamedTuple):
    """Why a plugin, or one component of it, cannot be used.

    Attributes
    ----------
    kind, name : the component; empty when the whole plugin is broken.
    lost : names of components that the plugin had when it last worked.
    """

    dist: str
    reason: str
    kind: str = ""
    name: str = ""
    lost: tuple[str, ...] = ()


class LazySpecs(Mapping[tuple[str, str], "Spec"]):
    """Specs by kind and id, each read from its JSON when it is asked for."""

    def __init__(self, texts: Iterable[tuple[str, str, str]]) -> None:
        self._texts = {(kind, name): text for kind, name, text in texts}
        self._read: dict[tuple[str, str], Spec] = {}

    def __getitem__(self, key: tuple[str, str]) -> Spec:
        if key not in self._read:
            from imgtool.specs import Spec

            self._read[key] = Spec.from_json(json.loads(self._texts[key]))
        return self._read[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


class Declared(NamedTuple):
    """What one plugin declares; specs by kind and id."""

    plugin: Plugin
    components: tuple[Component, ...] = ()
    specs: Mapping[tuple[str, str], Spec] = MappingProxyType({})
    hooks: tuple[str, ...] = ()
    problems: tuple[PluginProblem, ...] = ()


def discover() -> list[Plugin]:
    """The installed plugins, imgtool's own first. Imports none of them."""
    stamp = _environment_stamp()
    file = cache_dir() / "specs" / f"index-{_digest(sys.path)}.json"
    cached = _read_json(file)
    if cached and cached.get("stamp") == stamp:
        return [Plugin(**item) for item in cached["plugins"]]
    plugins = _look_for_plugins()
    _write_json(file, {"stamp": stamp, "plugins": [plugin._asdict() for plugin in plugins]})
    return plugins


def file_plugin(path: str) -> Plugin:
    """The plugin that is one Python file, called by its file's name.

    Raises
    ------
    InputMissing, UsageError : there is no such file, or it is none of Python.
    """
    file = Path(path).absolute()
    if file.suffix != ".py":
        raise UsageError(f"{path!r} is no Python file", "--plugin takes one file such as sepia.py")
    if not file.is_file():
        raise InputMissing(f"no such file: {path!r}", "--plugin takes a Python file with stages")
    return Plugin(file.name, file.stem, str(file), str(file))


def declarations(plugins: Iterable[Plugin]) -> list[Declared]:
    """What `plugins` declare; those whose files changed are asked anew, side by side."""
    found: dict[Plugin, dict[str, Any]] = {}
    running: list[tuple[Plugin, str, dict[str, Any], Dump]] = []
    environment = _environment_stamp()
    for plugin in plugins:
        stamp, cached = _plugin_stamp(plugin, environment), _read_json(_cache_file(plugin)) or {}
        if cached.get("stamp") == stamp and time.time() < cached.get("until", math.inf):
            found[plugin] = cached
        else:
            running.append((plugin, stamp, cached, _start(plugin)))
            found[plugin] = cached
    for plugin, stamp, before, dump in running:
        found[plugin] = _keep(plugin, stamp, before, dump.finish(_time_limit()))
    return [_declared(plugin, data) for plugin, data in found.items()]


def _start(plugin: Plugin) -> Dump:
    from imgtool.specrun import Dump

    return Dump.start(plugin.module, plugin.dist)


def _keep(
    plugin: Plugin, stamp: str, before: dict[str, Any], data: dict[str, Any]
) -> dict[str, Any]:
    data["stamp"] = stamp
    summaries = {(spec["kind"], spec["id"]): spec["summary"] for spec in data["specs"]}
    for item in data["components"]:
        item["summary"] = item["summary"] or summaries.get((item["kind"], item["name"]), "")
    data["specs"] = [(spec["kind"], spec["id"], json.dumps(spec)) for spec in data["specs"]]
    known = [item["name"] for item in data["components"]]
    data["known"] = known or before.get("known", [])
    if data.pop("timed_out", False):
        data["until"] = time.time() + RETRY_TIMEOUT_S
    _write_json(_cache_file(plugin), data)
    return data


def _declared(plugin: Plugin, data: dict[str, Any]) -> Declared:
    problems = [
        PluginProblem(plugin.dist, item["reason"], item["kind"], item["name"])
        for item in data["unusable"]
    ]
    if data["broken"]:
        problems.insert(0, PluginProblem(plugin.dist, data["broken"], lost=tuple(data["known"])))
    return Declared(
        plugin,
        tuple(Component(**item) for item in data["components"]),
        LazySpecs(data["specs"]),
        tuple(data["hooks"]),
        tuple(problems),
    )


def _look_for_plugins() -> list[Plugin]:
    from importlib.metadata import entry_points

    own = Plugin(OWN, "builtin", "imgtool.builtin.plugin", str(Path(__file__).parent / "builtin"))
    others = {
        Plugin(point.dist.name if point.dist else point.name, point.name, point.module,
               _root(point.module))
        for point in entry_points(group=GROUP)
    }  # fmt: skip
    return [own, *sorted(others, key=lambda plugin: (plugin.dist, plugin.name))]


def _root(module: str) -> str:
    from importlib.util import find_spec

    try:
        spec = find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return ""
    if spec is None:
        return ""
    places = list(spec.submodule_search_locations or ())
    return places[0] if places else spec.origin or ""


def _environment_stamp() -> str:
    """Changes whenever a distribution is installed, upgraded or removed."""
    found = []
    for place in sys.path:
        with contextlib.suppress(OSError), os.scandir(place or ".") as entries:
            found += [
                [entry.path, entry.stat().st_mtime_ns]
                for entry in entries
                if entry.name.endswith((".dist-info", ".egg-info"))
            ]
    return _digest(sorted(found))


def _plugin_stamp(plugin: Plugin, environment: str) -> str:
    """Changes whenever a file of the plugin, or the way in which specs are computed, does."""
    here = Path(__file__).parent
    own = [f"{here}/{name}.py" for name in SOURCES]
    stats = [[file, *_stat(file)] for file in (*own, *_python_files(plugin.root))]
    return _digest([FORMAT, sys.version, plugin, sorted(stats), environment])


def _python_files(root: str) -> Iterator[str]:
    # Names alone: a Path for each of some hundred files would cost every command milliseconds.
    if root.endswith(".py"):
        yield root
        return
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name != "__pycache__"]
        yield from (f"{folder}{os.sep}{name}" for name in names if name.endswith(".py"))


def _stat(file: str) -> tuple[int, int]:
    try:
        stat = os.stat(file)  # noqa: PTH116
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


def _time_limit() -> float:
    try:
        return float(os.environ["IMGTOOL_PLUGIN_TIMEOUT"])
    except (KeyError, ValueError):
        return TIME_LIMIT_S


def _cache_file(plugin: Plugin) -> Path:
    name = f"{plugin.dist}-{plugin.name}-{_digest([plugin.root, sys.prefix])}.json"
    return cache_dir() / "specs" / name.replace(os.sep, "_")


def _digest(value: object) -> str:
    text = json.dumps(value).encode()  # checksums, since loading hashlib costs more than the rest
    return f"{zlib.crc32(text):08x}{zlib.adler32(text):08x}"


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _write_json(file: Path, data: dict[str, Any]) -> None:
    """Replace a cache file. A cache that cannot be written only costs time."""
    import tempfile

    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".new-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(data, stream)
        Path(temporary).replace(file)
