"""Component name -> where it is. Names and specs come from the cache; classes when used."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from imgtool.components import import_plugin, is_file, load
from imgtool.errors import AmbiguousComponent, BrokenPlugin, UnknownComponent, near
from imgtool.paths import config_dir
from imgtool.spec_cache import (
    OWN,
    Declared,
    Plugin,
    PluginProblem,
    declarations,
    discover,
    file_plugin,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pluggy

    from imgtool.components import Component
    from imgtool.specs import Spec

__all__ = ["PluginProblem", "Registry", "disabled_plugins", "plugins_in_use"]


def disabled_plugins() -> set[str]:
    """Distributions that the user disabled: one name a line in `disabled-plugins.txt`."""
    try:
        text = (config_dir() / "disabled-plugins.txt").read_text(encoding="utf-8")
    except OSError:
        return set()
    return {line.strip() for line in text.splitlines() if line.strip()}


def plugins_in_use() -> list[Plugin]:
    """The installed plugins that commands see, imgtool's own first. None is imported.

    `IMGTOOL_PLUGINS` names the only plugins to use, as distributions or entry points, or is
    `none`; plugins that the user disabled are left out; imgtool's own are always there.
    """
    named = os.environ.get("IMGTOOL_PLUGINS")
    only = None if named is None else {part.strip() for part in named.split(",")}
    disabled = disabled_plugins()

    def used(plugin: Plugin) -> bool:
        if plugin.dist == OWN:
            return True
        return plugin.dist not in disabled and (
            only is None or not only.isdisjoint({plugin.dist, plugin.name})
        )

    return [plugin for plugin in discover() if used(plugin)]


class Registry:
    """The components of the plugins in use.

    Attributes
    ----------
    plugins : the plugins in use, imgtool's own first.
    problems : plugins and components that cannot be used, with reasons.
    """

    def __init__(self, declared: Sequence[Declared]) -> None:
        self.plugins: tuple[Plugin, ...] = tuple(item.plugin for item in declared)
        self.problems = [problem for item in declared for problem in item.problems]
        self._declared = tuple(declared)
        self._components = [part for item in declared for part in item.components]
        self._holders = {
            (item.plugin.dist, *key): item.specs for item in declared for key in item.specs
        }
        self._events: pluggy.PluginManager | None = None

    @classmethod
    def load(cls, files: Sequence[str] = ()) -> Registry:
        """The registry of this environment: see `plugins_in_use`. No plugin is imported here.

        Parameters
        ----------
        files : Python files to use as plugins too, whatever `IMGTOOL_PLUGINS` says.

        Raises
        ------
        InputMissing, UsageError : one of `files` is not there, or none of Python.
        """
        trials = dict.fromkeys(file_plugin(file) for file in files)
        return cls(declarations([*plugins_in_use(), *trials]))

    def require_usable(self, dist: str) -> None:
        """Refuse a plugin that is broken as a whole.

        Raises
        ------
        BrokenPlugin : with the reason.
        """
        for problem in self.problems:
            if problem.dist == dist and not problem.name:
                raise _broken(dist, "use of it", problem.reason)

    def kinds(self) -> list[str]:
        """Every kind of component that is there."""
        return sorted({component.kind for component in self._components})

    def components(self, kind: str) -> list[Component]:
        """The components of one kind by name. Those of two owners are all listed."""
        found = [component for component in self._components if component.kind == kind]
        return sorted(found, key=lambda component: (component.name, component.dist))

    def component(self, kind: str, name: str) -> Component:
        """The component that `name` means: a name, a bare family, or `dist:` and one of these.

        Raises
        ------
        UnknownComponent, AmbiguousComponent, BrokenPlugin : as the names say.
        """
        dist, _, bare = name.rpartition(":")
        among = [c for c in self.components(kind) if not dist or c.dist == dist]
        exact = [component for component in among if component.name == bare]
        found = exact or self._of_family(bare, among)
        if len(found) == 1:
            return found[0]
        if not found:
            raise self._missing(kind, name, bare)
        if len({component.name for component in found}) > 1:
            names = ", ".join(component.name for component in found)
            raise AmbiguousComponent(f"{bare!r} means no one {kind}", f"Say which: {names}")
        owners = " or ".join(f"{component.dist}:{component.name}" for component in found)
        raise AmbiguousComponent(
            f"{len(found)} plugins own the {kind} {bare!r}",
            f"Say {owners}; IMGTOOL_PLUGINS can name the only plugins to use",
        )

    def spec(self, kind: str, name: str) -> Spec:
        """The declaration of the stage or maker that `name` means.

        Raises
        ------
        UnknownComponent, AmbiguousComponent, BrokenPlugin : as the names say.
        """
        component = self.component(kind, name)
        spec = self._spec_of(component)
        if spec is not None:
            return spec
        for problem in self.problems:
            if (problem.dist, problem.kind, problem.name) == (component.dist, kind, component.name):
                raise _broken(component.dist, f"{kind} {component.name!r}", problem.reason)
        raise UnknownComponent(f"{kind} {component.name!r} declares no parameters")

    def specs(self, kind: str) -> list[Spec]:
        """Every usable declaration of one kind, by id."""
        specs = (self._spec_of(component) for component in self.components(kind))
        return [spec for spec in specs if spec is not None]

    def resolve(self, kind: str, name: str) -> Any:
        """Import what `name` means: a class, a function or a click command.

        Raises
        ------
        UnknownComponent, AmbiguousComponent, BrokenPlugin : as the names say.
        """
        component = self.component(kind, name)
        try:
            return load(component.where)
        except (Exception, SystemExit) as err:
            reason = f"{type(err).__name__}: {err}"
            raise _broken(component.dist, f"{kind} {component.name!r}", reason) from err

    def notify(self, event: str, **arguments: object) -> None:
        """Call every plugin's implementation of an event; what they raise is logged."""
        if not any(event in item.hooks for item in self._declared):
            return
        if self._events is None:
            self._events = self._event_manager()
        for call in reversed(getattr(self._events.hook, event).get_hookimpls()):
            try:
                call.function(*(arguments[name] for name in call.argnames))
            except Exception as err:  # noqa: BLE001 - an observer must not stop the run
                _warn("plugin %s failed in %s: %s", call.plugin_name, event, err)

    def _event_manager(self) -> pluggy.PluginManager:
        import pluggy

        from imgtool import hookspecs

        manager = pluggy.PluginManager(hookspecs.GROUP)
        manager.add_hookspecs(hookspecs)
        for plugin in (item.plugin for item in self._declared if item.hooks):
            try:
                manager.register(import_plugin(plugin.module), name=plugin.dist)
            except (Exception, SystemExit) as err:  # noqa: BLE001 - the border to a plugin
                _warn("plugin %s failed to load: %s", plugin.dist, err)
        return manager

    def _of_family(self, family: str, among: Sequence[Component]) -> list[Component]:
        members = [c for c in among if c.name.startswith(f"{family}.")]
        default = [c for c in members if (spec := self._spec_of(c)) is not None and spec.default]
        return default or members

    def _spec_of(self, component: Component) -> Spec | None:
        key = component.kind, component.name
        holder = self._holders.get((component.dist, *key))
        return None if holder is None else holder[key]

    def _missing(self, kind: str, name: str, bare: str) -> Exception:
        broken = [problem for problem in self.problems if not problem.name]
        for problem in broken:
            if any(lost == bare or lost.startswith(f"{bare}.") for lost in problem.lost):
                return _broken(problem.dist, f"{kind} {name!r}", problem.reason)
        known = [component.name for component in self.components(kind)]
        families = [known_name.partition(".")[0] for known_name in known]
        hint = near(bare, [*known, *families])
        hint += f"Known: {', '.join(sorted(set(known))) or 'none'}"
        hint += "".join(f". Plugin {p.dist!r} is broken: {p.reason}" for p in broken)
        return UnknownComponent(f"unknown {kind} {name!r}", hint)


def _broken(dist: str, what: str, reason: str) -> BrokenPlugin:
    first = reason.strip().splitlines()[0] if reason.strip() else "no reason given"
    return BrokenPlugin(
        f"plugin {dist!r} failed to load, so there is no {what}: {first}",
        "Mend the file"
        if is_file(dist)
        else "Update or reinstall it. The other plugins go on working",
    )


def _warn(message: str, *facts: object) -> None:
    import logging

    logging.getLogger("imgtool.registry").warning(message, *facts)
