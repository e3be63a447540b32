"""`imgtool plugin bisect`: which plugins make a command fail."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from imgtool.plugin_kit.bisect import Ending, Verdict, bisect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conftest import Imgtool

NAMES = [f"plugin-{letter}" for letter in "abcdefghijklmnop"]
FAILS = Ending(1, "error: no")

STAGE = """
from imgtool.api import PROMPT, Component, Stage, hookimpl

class Only(Stage[None]):
    id, summary = "{id}", "Do what it does."
    consumes, produces = (PROMPT,), (PROMPT,)

    def process(self, batch):
        return batch{end}

@hookimpl
def imgtool_components():
    yield Component("stage", "{id}", f"{{__name__}}:Only")
"""


def failing_with(*guilty: str, needed: str = "") -> tuple[list[int], object]:
    """A command that fails where all of `guilty` are there, or `needed` is not."""
    runs: list[int] = []

    def run(only: Sequence[str]) -> Ending:
        runs.append(len(only))
        if needed and needed not in only:
            return Ending(2, "error: no command of that name")
        return FAILS if set(guilty) <= set(only) else Ending(0)

    return runs, run


@pytest.mark.parametrize("guilty", NAMES)
def test_one_plugin_among_sixteen_is_found_in_few_runs(guilty: str) -> None:
    runs, run = failing_with(guilty)

    assert bisect(NAMES, run) == Verdict(FAILS, (guilty,), cured=True)
    assert len(runs) <= 12


def test_a_plugin_that_the_command_needs_is_not_taken_for_the_guilty_one() -> None:
    for needed in ("plugin-a", "plugin-h", "plugin-p"):
        _, run = failing_with("plugin-g", needed=needed)
        assert bisect(NAMES, run) == Verdict(FAILS, ("plugin-g",), cured=True)


def test_either_of_two_that_fail_together_is_a_cure() -> None:
    _, run = failing_with("plugin-b", "plugin-n")
    verdict = bisect(NAMES, run)

    assert verdict.cured
    assert set(verdict.guilty) < {"plugin-b", "plugin-n"}


def test_a_failing_plugin_that_is_needed_is_found_though_nothing_cures() -> None:
    _, run = failing_with("plugin-k", needed="plugin-k")

    assert bisect(NAMES, run) == Verdict(FAILS, ("plugin-k",), cured=False)


def test_no_plugin_is_blamed_for_a_command_that_works_or_fails_without_any() -> None:
    assert bisect(NAMES, lambda only: Ending(0)) == Verdict(Ending(0))
    assert bisect(NAMES, lambda only: FAILS) == Verdict(FAILS)


@pytest.fixture
def installed(tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three plugins, of which one fails every row."""
    site = tmp_path / "site"
    site.mkdir()
    for name, end in (("calm", ""), ("fine", ""), ("sour", ".no_such_thing")):
        (site / f"{name}.py").write_text(STAGE.format(id=f"{name}.toy", end=end))
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[imgtool]\n{name} = {name}\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("IMGTOOL_PLUGINS", "calm,fine,sour")


def test_the_guilty_plugin_of_a_real_command_is_named(imgtool: Imgtool, installed: None) -> None:
    answer = imgtool(
        "plugin", "bisect", "--", sys.executable, "-m", "imgtool", "sour.toy", "a cat", "--json"
    )

    assert answer.status == 0, answer.err
    assert answer.lines == ["sour: the command needs it, and fails the same way with nothing else"]
    assert answer.err.startswith("3 of 3 plugins: fails (")


def test_a_file_of_the_command_itself_is_named_where_no_other_plugin_is_at_fault(
    imgtool: Imgtool, world: Path
) -> None:
    (world / "bad.py").write_text(STAGE.format(id="bad.toy", end=".no_such_thing"))
    command = [sys.executable, "-m", "imgtool", "--plugin", "bad.py", "bad.toy", "a cat"]
    answer = imgtool("plugin", "bisect", "--", *command)

    assert answer.status == 1
    assert answer.lines == [
        "no other plugin is at fault: the command fails the same way with bad.py alone"
    ]


def test_a_program_that_is_not_there_is_one_line(imgtool: Imgtool) -> None:
    answer = imgtool("plugin", "bisect", "--", "no-such-program")

    assert answer.status == 2
    assert answer.err.startswith("error: cannot run 'no-such-program'")
