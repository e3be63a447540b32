"""Fixtures of the torture: those of the command line's tests, `within` and `tally`."""

from __future__ import annotations

from test_resume import slow
from torture import tally
from within import within
from worlds import imgtool, toy_site, world

__all__ = ["imgtool", "slow", "tally", "toy_site", "within", "world"]
