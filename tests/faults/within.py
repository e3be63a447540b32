"""The real command within this process: its border to the user, without the start of Python."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Protocol

import pytest
from worlds import Answer

from imgtool.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Within(Protocol):
    """Runs `imgtool` in this process."""

    def __call__(self, *arguments: str) -> Answer: ...


@pytest.fixture
def within(world: Path, toy_site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Within]:
    """Runs commands in the test's folder; the toy plugin's modules are forgotten after the test."""
    monkeypatch.syspath_prepend(str(toy_site))

    def call(*arguments: str) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = run(arguments)
        return Answer(status, out.getvalue(), err.getvalue())

    yield call
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy_stages"]:
        del sys.modules[name]


def one_line(answer: Answer) -> bool:
    """Whether a command that failed said why in one line and what to do in a second."""
    lines = answer.err.splitlines()
    return len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith("  ")
