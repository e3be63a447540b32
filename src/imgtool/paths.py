"""Where imgtool keeps what belongs to the user and to no project."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Folder of everything that can be computed again: specs, unnamed runs, digests."""
    return _folder("IMGTOOL_CACHE", "XDG_CACHE_HOME", ".cache")


def config_dir() -> Path:
    """Folder of the user's choices, such as disabled plugins."""
    return _folder("IMGTOOL_CONFIG", "XDG_CONFIG_HOME", ".config")


def _folder(own: str, xdg: str, default: str) -> Path:
    if named := os.environ.get(own):
        return Path(named)
    base = os.environ.get(xdg)
    return (Path(base) if base else Path.home() / default) / "imgtool"
