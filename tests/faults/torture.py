"""Torture: short by default, long with `IMGTOOL_TORTURE=1` (`make torture`), its results kept."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = bool(os.environ.get("IMGTOOL_TORTURE"))
LIMIT_S = 86_400 if LONG else 900
RESULTS = os.environ.get("IMGTOOL_TORTURE_RESULTS", "")


def count(short: int, long: int, cheap: bool = False) -> int:
    """How often a case is tried: `IMGTOOL_TORTURE_SHARE` (0 to 1) of `long`, or `short`.

    In the long form a cheap case is tried `long` times whatever the share.
    """
    share = 1.0 if cheap else float(os.environ.get("IMGTOOL_TORTURE_SHARE", "1"))
    return max(short, round(long * share)) if LONG else short


class Tally(Protocol):
    """Says what a case tried and what came of it; kept when the long form runs."""

    def __call__(self, case: str, tried: int, outcomes: dict[str, int], seed: str = "") -> None: ...


@pytest.fixture
def tally() -> Iterator[Tally]:
    """Appends one line for each call to the file that `IMGTOOL_TORTURE_RESULTS` names."""
    began = time.monotonic()

    def keep(case: str, tried: int, outcomes: dict[str, int], seed: str = "") -> None:
        seconds = round(time.monotonic() - began, 1)
        line = {"case": case, "tried": tried, "outcomes": outcomes, "seed": seed}
        if RESULTS:
            with Path(RESULTS).open("a", encoding="utf-8") as file:
                file.write(json.dumps({**line, "seconds": seconds}, sort_keys=True) + "\n")

    return keep
