"""The disk is full at any step: one line, the right status, and with room the same store."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from interposer import FullDisk, Interposer
from test_bad_inputs import mounted
from test_damage import OUT, ROWS_FAILED, RUN, finished
from test_power import fill
from test_resume import files_of
from torture import count
from within import one_line

from imgtool.errors import StorageFull

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torture import Tally
    from within import Within
    from worlds import Answer

pytestmark = pytest.mark.faults

SEED = 83
STOPPED = 3
PLACES = ("s.zarr", "s.zarr.d", "out")
PAGE = 4096


def spread(whole: int, most: int) -> list[int]:
    """`most` numbers below `whole`, first and last among them; all where there are fewer."""
    if most >= whole:
        return list(range(whole))
    return sorted({0, whole - 1, *random.Random(SEED).sample(range(whole), most - 2)})


def is_full(answer: Answer) -> bool:
    """Whether a command ended since the disk was full, and said so as it must."""
    if answer.status == ROWS_FAILED:
        return False
    assert (answer.status, one_line(answer)) == (STOPPED, True), answer.err
    assert "o space left" in answer.err, answer.err
    return True


def state(world: Path) -> tuple[dict[str, str], dict[str, str]]:
    """All files of the store, and all pictures."""
    return files_of(world / "s.zarr"), files_of(world / "out")


def test_full_at_any_write_the_run_stops_and_the_next_gives_the_same_store(
    world: Path, within: Within, tally: Tally, isolated_world: Path
) -> None:
    answer = finished(world, within)
    whole, cache = state(world), isolated_world / "cache"

    def run_with_room(room: int) -> tuple[Answer, FullDisk]:
        for place in PLACES:
            shutil.rmtree(world / place, ignore_errors=True)
        disk = FullDisk(room)
        with Interposer([world, cache], disk):
            return within(*RUN, *OUT), disk

    enough = 10**9
    _, disk = run_with_room(enough)
    steps, outcomes = enough - disk.left, Counter[str]()
    for room in spread(steps, count(25, steps, cheap=True)):
        answer_, disk = run_with_room(room)
        stopped = is_full(answer_)
        assert stopped or state(world) == whole
        again = within(*RUN, *OUT)
        assert (again.status, again.out) == (answer.status, answer.out), again.err
        assert state(world) == whole, room
        outcomes["stopped, then the same store" if stopped else "only a note was lost"] += 1
    assert outcomes["stopped, then the same store"] > steps // 40
    tally("full disk, n-th write", outcomes.total(), {**outcomes, "writes of a run": steps})


def test_full_at_every_write_of_a_store_is_called_full(tmp_path: Path) -> None:
    fill(tmp_path / "whole")
    whole, room, is_done = files_of(tmp_path / "whole"), 0, False
    while not is_done:
        path = tmp_path / str(room)
        with Interposer([tmp_path], FullDisk(room)):
            try:
                fill(path)
                is_done = True
            except StorageFull:
                room += 1
        fill(path)
        assert files_of(path) == whole, room
    assert room > len(whole)


@pytest.mark.parametrize("what", ["size", "nr_inodes"])
def test_a_small_disk_of_any_size_stops_the_run_and_a_larger_one_ends_it(
    what: str, world: Path, within: Within, tally: Tally
) -> None:
    finished(world, within)
    whole, outcomes = state(world), Counter[str]()
    sizes = [p.stat().st_size for place in PLACES for p in (world / place).rglob("*")]
    most = len(sizes) + 4 if what == "nr_inodes" else sum(-(-size // PAGE) for size in sizes) + 2
    command = [part.replace("s.zarr", "small/s.zarr") for part in RUN]
    for number in spread(most, count(6, most, cheap=True)):
        room = number + 2 if what == "nr_inodes" else (number + 1) * PAGE
        with mounted(world / "small", f"{what}={room}"):
            stopped = is_full(within(*command, "-o", "small/out/{id}.png"))
            larger = f"remount,{what}={room + 2000 * (PAGE if what == 'size' else 1)}"
            subprocess.run(["mount", "-o", larger, str(world / "small")], check=True)
            assert within(*command, "-o", "small/out/{id}.png").status == ROWS_FAILED
            assert state(world / "small") == whole, room
        outcomes["stopped, then the same store" if stopped else "there was room"] += 1
    assert outcomes["stopped, then the same store"]
    tally(f"full disk, tmpfs by {what}", outcomes.total(), dict(outcomes))


@pytest.mark.parametrize("arguments", [(*RUN,), ("--version",), ("show", "s.zarr", "--json")])
def test_output_to_a_full_disk_is_one_line(
    arguments: Sequence[str], world: Path, within: Within
) -> None:
    finished(world, within)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "imgtool", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == STOPPED, done.stderr
    assert len(done.stderr.splitlines()) == 2, done.stderr
    assert os.strerror(28) in done.stderr
