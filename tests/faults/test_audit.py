"""A run that finds all in its store asks no network and unpickles nothing: Python watches it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from torture import LONG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torture import Tally
    from worlds import Answer, Imgtool

pytestmark = pytest.mark.faults

REFUSED = (
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
    "socket.sendmsg",
    "pickle.find_class",
)
# Refuses what must not be, and writes down that it was tried; the child processes' too.
HOOK = """
import os, sys
_log = os.open({log!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
def _hook(event, arguments):
    if event in {refused!r}:
        os.write(_log, (event + " " + repr(arguments[-2:])[:200] + "\\n").encode())
        raise PermissionError(event)
os.write(_log, b"watched\\n")
sys.addaudithook(_hook)
"""


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """From now on Python refuses sockets and unpickling; gives what was tried since asked last."""
    site, log = tmp_path / "hook", tmp_path / "tried"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HOOK.format(log=str(log), refused=REFUSED))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(site), os.environ["PYTHONPATH"])))

    def tried() -> list[str]:
        lines = log.read_text().splitlines()
        log.unlink()
        assert "watched" in lines, "no process was watched"
        return [line for line in lines if line != "watched"]

    return tried


TRIES = {
    "socket.connect": "import socket; socket.socket().connect(('127.0.0.1', 9))",
    "socket.getaddrinfo": "import socket; socket.getaddrinfo('localhost', 9)",
    "pickle.find_class": "import pickle, pathlib; pickle.loads(pickle.dumps(pathlib.Path('x')))",
}


@pytest.mark.parametrize("event", TRIES)
def test_the_watch_sees_what_it_must(
    event: str, world: Path, watched: Callable[[], list[str]]
) -> None:
    done = subprocess.run([sys.executable, "-c", TRIES[event]], capture_output=True, timeout=60)
    assert done.returncode == 1
    assert event in done.stderr.decode()
    assert [line.split()[0] for line in watched()] == [event]


def rerun_unseen(
    command: tuple[str, ...],
    imgtool: Imgtool,
    request: pytest.FixtureRequest,
    others: tuple[tuple[str, ...], ...] = (),
) -> Counter[str]:
    """Run; run again watched, and other commands on the store: what was tried by them."""
    first: Answer = imgtool(*command)
    assert first.status == 0, first.err
    tried: Callable[[], list[str]] = request.getfixturevalue("watched")
    again = imgtool(*command)
    assert (again.status, again.out) == (0, first.out), again.err
    outcomes = Counter(tried())
    for other in others:
        answer = imgtool(*other)
        assert answer.status == 0, answer.err
        outcomes += Counter(tried())
    return outcomes


OTHERS = (
    ("show", "s.zarr", "--json"),
    ("export", "s.zarr", "-o", "shown/{id}.png"),
    ("store", "verify", "s.zarr"),
)


def test_a_finished_toy_run_opens_no_socket_and_unpickles_nothing(
    imgtool: Imgtool, request: pytest.FixtureRequest
) -> None:
    command = ("draw.toy", "a", "b", "--store", "s.zarr", "-o", "out/{id}.png", "--json")
    assert not rerun_unseen(command, imgtool, request, OTHERS)


def test_a_finished_run_of_the_real_model_opens_no_socket_and_unpickles_nothing(
    imgtool: Imgtool,
    warm_bin: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tally: Tally,
) -> None:
    monkeypatch.delenv("IMGTOOL_PLUGINS")
    prompts = ("a red cube", "a blue ball") if LONG else ("a red cube",)
    options = ("--steps", "2", "--store", "s.zarr", "-o", "out/{id}.png", "--json")
    command = ("generate", *prompts, *options)
    subprocess.run([warm_bin / "imgtool", *command], stdout=subprocess.DEVNULL, check=True)
    tried = rerun_unseen(command, imgtool, request, OTHERS)
    assert not tried
    sockets = sum(n for line, n in tried.items() if line.startswith("socket"))
    seen = {"sockets asked for": sockets, "classes unpickled": tried.total() - sockets}
    tally("audit: finished run of the real model", 1 + len(OTHERS), seen)
