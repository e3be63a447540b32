"""A run killed without warning at random moments loses nothing that it had committed."""

from __future__ import annotations

import fcntl
import random
import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from test_resume import RUN, batches_begun, files_of, killed_after
from torture import count

from imgtool.store import Store
from imgtool.store.atomic import MARK, committed_folder, write_synced
from imgtool.store.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from torture import Tally
    from worlds import Imgtool

pytestmark = pytest.mark.faults

SEED = 20
PLACES = ("s.zarr", "s.zarr.d", "out")


def committed(store: Path) -> set[str]:
    """Names of all committed batches."""
    return {path.parent.name for path in store.glob("*-*/[0-9]*/zarr.json")}


def test_run_killed_at_random_moments_ends_with_the_bytes_of_an_unbroken_one(
    slow: Path, imgtool: Imgtool, light_bin: Path, tally: Tally
) -> None:
    began = time.monotonic()
    assert imgtool(*RUN).status == 0
    longest = time.monotonic() - began
    whole = files_of(slow / "s.zarr"), files_of(slow / "out")
    rng, kills, outcomes = random.Random(SEED), count(6, 200), Counter[str]()
    while kills:
        for place in PLACES:
            shutil.rmtree(slow / place, ignore_errors=True)
        for _ in range(min(kills, 10)):
            before = committed(slow / "s.zarr")
            begun = killed_after(rng.uniform(0.1, longest / 3), light_bin / "python", *RUN)
            assert not before & set(begun), "a committed batch was computed again"
            assert before <= committed(slow / "s.zarr"), "a committed batch was lost"
            outcomes["killed while computing" if begun else "killed at start or end"] += 1
            kills -= 1
        before = committed(slow / "s.zarr")
        last = imgtool(*RUN, "--progress", "json")
        assert last.status == 0, last.err
        assert not before & set(batches_begun(last.err))
        assert imgtool("store", "verify", "s.zarr").status == 0
        assert (files_of(slow / "s.zarr"), files_of(slow / "out")) == whole
        outcomes["runs ended with equal bytes"] += 1
    tally("random SIGKILL", sum(outcomes.values()), dict(outcomes), str(SEED))


def test_what_a_killed_writer_left_beside_pictures_goes_and_a_living_ones_stays(
    world: Path, imgtool: Imgtool
) -> None:
    (world / "out").mkdir()
    dead, living = (world / "out" / f"{MARK}{name}" for name in ("dead", "living"))
    dead.touch()
    with living.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert imgtool("draw.toy", "a", "-o", "out/{id}.png").status == 0
    assert {path.name for path in (world / "out").iterdir()} == {"0.png", living.name}


def test_verify_beside_a_run_leaves_what_it_is_writing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s.zarr", "a")
    store.write_instance("draw-1", {"stage": "draw"})
    with committed_folder(store.path / "draw-1" / "000000-a") as private:
        verify(store)
        write_synced(private / "part", b"kept")
    assert (store.path / "draw-1" / "000000-a" / "part").read_bytes() == b"kept"
