"""Fixtures and settings that the tests here and those of plugins share."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import settings

from warm import light_bin, warm_bin

__all__ = ["light_bin", "same_weights", "warm_bin"]

# The machine may be busy: how long an example takes says nothing.
# What judges a change (`.ci/run`) draws the same examples for each.
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """Weights that a test draws are the same alone and after any other test."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
