"""Fixtures and settings that the tests here and those of plugins share."""

from __future__ import annotations

from hypothesis import settings

from warm import light_bin, warm_bin

__all__ = ["light_bin", "warm_bin"]

# The machine may be busy: how long an example takes says nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
