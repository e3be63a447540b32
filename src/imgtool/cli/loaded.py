"""The registry of this process, and what it says of a component."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.errors import BrokenPlugin, UnknownComponent

if TYPE_CHECKING:
    import click

    from imgtool.components import Component
    from imgtool.registry import Registry


def load_registry(ctx: click.Context) -> Registry:
    """The registry of this process, loaded once.

    Raises
    ------
    InputMissing, BrokenPlugin, UsageError : a file given with `--plugin` cannot be used.
    """
    root_ctx = ctx.find_root()
    if "registry" not in root_ctx.meta:
        from imgtool.registry import Registry

        files = root_ctx.meta.get("plugin_files", ())
        loaded = Registry.load(files)
        for file in files:
            loaded.require_usable(Path(file).name)
        root_ctx.meta["registry"] = loaded
    registry: Registry = root_ctx.meta["registry"]
    return registry


def summary_of(registry: Registry, component: Component) -> str:
    """One line about a component, from its spec where its plugin gave none."""
    if component.summary:
        return component.summary
    try:
        return registry.spec(component.kind, f"{component.dist}:{component.name}").summary
    except BrokenPlugin as err:
        return f"unusable: {err.message}"
    except UnknownComponent:
        return ""
