"""The command line for tests: the fixtures of `worlds.py`."""

from __future__ import annotations

from worlds import Answer, Imgtool, imgtool, toy_site, world

__all__ = ["Answer", "Imgtool", "imgtool", "toy_site", "world"]
