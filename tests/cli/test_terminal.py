"""What a terminal sees: tables and previews with colour, none without, never a row's escapes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from conftest import Imgtool

TRUECOLOR = "\x1b[38;2;"
HOSTILE = "red\x1b]0;owned\x07 cube\x1b[2J"


def on_a_terminal(*arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Status, and everything that the command wrote to its terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "imgtool", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **(env or {})},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # Linux's way of saying that the other side is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    return process.wait(timeout=60), seen.decode()


def test_a_terminal_sees_a_table_and_previews(world: Path) -> None:
    status, seen = on_a_terminal("draw", "a cube")

    assert status == 0
    assert "───" in seen
    assert TRUECOLOR in seen
    assert '"imgtool":"stream"' not in seen


def test_a_terminal_is_not_asked_for_rows_beside_what_is_bound(world: Path) -> None:
    status, seen = on_a_terminal("draw", "--prompt", "a cube")

    assert (status, "a cube" in seen) == (0, True)


def test_no_color_leaves_neither_colour_nor_rules(world: Path) -> None:
    _, seen = on_a_terminal("draw", "a cube", "--progress", "none", env={"NO_COLOR": "1"})

    assert "a cube" in seen
    assert "\x1b" not in seen
    assert "───" not in seen


def test_escapes_in_prompts_never_reach_the_terminal(world: Path) -> None:
    _, table = on_a_terminal("upper", HOSTILE, "--progress", "none", env={"NO_COLOR": "1"})
    _, error = on_a_terminal("upper", f"{HOSTILE}.txt")

    assert "\x1b" not in table
    assert "\x07" not in table
    assert "\x1b" not in error


def test_json_escapes_what_a_terminal_obeys(imgtool: Imgtool) -> None:
    answer = imgtool("upper", f"{HOSTILE}\x9b31m", "--json")

    assert answer.status == 0
    assert not any(ord(letter) < 32 and letter != "\n" for letter in answer.out)
    assert "\x9b" not in answer.out


def test_an_interactive_command_without_input_does_not_wait(world: Path) -> None:
    status, seen = on_a_terminal("draw")

    assert status == 2
    assert "no input" in seen
