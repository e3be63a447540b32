"""The toy plugin for pages that are held to real commands, and light starts for heavy ones."""

from __future__ import annotations

from worlds import toy_site

from warm import warm_bin

__all__ = ["toy_site", "warm_bin"]
