"""Processes for a check: new ones each time, whether forked or started."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

from imgtool.plugin_kit.processes import Ended, Processes

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = """
import os
import signal
import sys

seen = []

def count(words):
    seen.append(words)
    print(len(seen), *words)
    print("quietly", file=sys.stderr)
    return 5

def die(words):
    os.kill(os.getpid(), signal.SIGKILL)

def knows(words):
    print("numpy" in sys.modules)
    return 0

def leave(words):
    sys.exit("enough")

def fail(words):
    raise KeyError(words[0])
"""


@pytest.fixture
def entry(tmp_path: Path) -> str:
    """A module with functions to call."""
    (tmp_path / "entry.py").write_text(ENTRY)
    return str(tmp_path / "entry.py")


def test_every_run_begins_anew_and_tells_how_it_ended(entry: str) -> None:
    with Processes(libraries=()) as processes:
        first, second = (processes.run(f"{entry}:count", "a", "b") for _ in range(2))
        killed, left, failed = (
            processes.run(f"{entry}:{name}", "x") for name in ("die", "leave", "fail")
        )

    assert first == second == Ended(5, "1 a b\n", "quietly\n")
    assert (killed.status, left.status, failed.status) == (-signal.SIGKILL, 1, 1)
    assert failed.err.splitlines()[-1] == "KeyError: 'x'"


def test_runs_begin_with_libraries_that_are_imported_here(entry: str) -> None:
    import numpy  # noqa: F401

    for libraries in (("numpy",), ()):
        with Processes(libraries) as processes:
            assert processes.run(f"{entry}:knows").out == f"{bool(libraries)}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
def test_a_run_is_started_where_none_can_be_forked(entry: str) -> None:
    with Processes(libraries=()) as processes:
        processes.run(f"{entry}:count")
        assert processes._forking is not None
        processes._forking.kill()
        again = processes.run(f"{entry}:count", "a")

    assert again == Ended(5, "1 a\n", "quietly\n")
