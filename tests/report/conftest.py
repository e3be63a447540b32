"""Runs and pages for tests: the fixtures of `studio.py`."""

from __future__ import annotations

from studio import studio
from worlds import toy_site

__all__ = ["studio", "toy_site"]
