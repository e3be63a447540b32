"""Fixtures that the tests here and those of plugins share."""

from __future__ import annotations

from warm import light_bin, warm_bin

__all__ = ["light_bin", "warm_bin"]
