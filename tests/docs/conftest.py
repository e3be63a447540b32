"""The toy plugin for pages that are held to real commands."""

from __future__ import annotations

from worlds import toy_site

__all__ = ["toy_site"]
