"""Thirty-two processes on one store and one output pattern do the work of one, once."""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from crowd import crowd
from test_resume import RUN, batches_begun, files_of
from torture import LIMIT_S, count

from imgtool.store.atomic import MARK, remove_leftovers, write_file

if TYPE_CHECKING:
    from pathlib import Path

    from torture import Tally
    from worlds import Imgtool

pytestmark = [pytest.mark.faults, pytest.mark.timeout(LIMIT_S)]

PROCESSES = 32
PROMPTS = 24
STAGES = 4


class Reader(threading.Thread):
    """Reads every picture again and again while others write; keeps what could not be read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.done = folder, threading.Event()
        self.looked, self.half = 0, list[str]()

    def run(self) -> None:
        """Read until told that all is written."""
        from PIL import Image

        while not self.done.wait(0.05):
            for path in self.folder.glob("*.png"):
                try:
                    with Image.open(path) as picture:
                        picture.load()
                except (OSError, SyntaxError) as err:
                    self.half.append(f"{path.name}: {err}")
                self.looked += 1


def test_a_file_taken_for_a_leftover_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, taken = os.open, list[str]()

    def open_late(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if not taken and MARK in str(path) and not flags & os.O_CREAT:
            taken.append(str(path))
            assert remove_leftovers(tmp_path) == 1
        return kept(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", open_late)
    write_file(tmp_path / "a", b"whole")
    assert taken
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"whole")]


def test_thirty_two_processes_compute_each_batch_once_and_leave_what_one_leaves(
    slow: Path, imgtool: Imgtool, tally: Tally
) -> None:
    (slow / "prompts.txt").write_text("".join(f"prompt {i}\n" for i in range(PROMPTS)))
    single = imgtool(*RUN)
    assert single.status == 0, single.err
    whole = files_of(slow / "s.zarr"), files_of(slow / "out")
    outcomes = Counter[str]()
    for _ in range(count(1, 10)):
        for place in ("s.zarr", "s.zarr.d", "out"):
            shutil.rmtree(slow / place)
        reader = Reader(slow / "out")
        reader.start()
        left = crowd([[*RUN, "--progress", "json"]] * PROCESSES, together=True)
        reader.done.set()
        reader.join()
        assert not [item.err[-500:] for item in left if item.status]
        assert all(sorted(item.out.splitlines()) == sorted(single.lines) for item in left)
        computed = Counter(batch for item in left for batch in batches_begun(item.err))
        assert set(computed.values()) == {1}, computed.most_common(3)
        assert computed.total() == STAGES * PROMPTS // 4
        assert (reader.half, list(slow.rglob(f"{MARK}*"))) == ([], [])
        assert (files_of(slow / "s.zarr"), files_of(slow / "out")) == whole
        assert imgtool("store", "verify", "s.zarr").status == 0
        outcomes["processes ended with 0"] += PROCESSES
        outcomes["batches computed, each once"] += computed.total()
        outcomes["pictures read meanwhile, all whole"] += reader.looked
    rounds = outcomes["processes ended with 0"] // PROCESSES
    tally("32 processes on one store", rounds, dict(outcomes))
