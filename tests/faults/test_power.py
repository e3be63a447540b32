"""The power goes at any step of a write: what was committed is whole or absent, and a run mends."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from disk import MIXED, POLICIES, Disk
from interposer import Interposer, Recorder, lines_of_sitecustomize, recorded
from test_resume import RUN, files_of
from torture import count

from imgtool.batch import Batch, Failure
from imgtool.store import Store
from imgtool.store.gc import collect
from imgtool.store.keys import batch_name, instance_key, source_batch_name
from imgtool.store.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from interposer import Change
    from torture import Tally
    from worlds import Imgtool

pytestmark = pytest.mark.faults

SEED = 31
SOURCE = instance_key("source", 1, {}, "", None)
DRAW = instance_key("draw.toy", 1, {"n": 2}, "", SOURCE)
ROWS = Batch(("0", "1"), {"prompt": ["a", "b"], "seed": [3, 4]})
FIRST = source_batch_name(0, SOURCE, ROWS)
SECOND = batch_name(0, DRAW, FIRST)
DRAWN = Batch(
    ("0", "1"),
    {"prompt": ["a", "b"], "image": [np.full((2, 2, 3), n, np.uint8) for n in range(2)]},
    failures={"2": Failure("draw", "ValueError", "too hard")},
)
RECORD = {
    "stages": [{"label": "draw", "instance": DRAW, "upstream": SOURCE, "barrier": False}],
    "source": SOURCE,
    "batches": [FIRST],
}


def fill(path: Path, note: Callable[[str], None] = lambda text: None) -> None:
    """What a run writes; `note` hears of each batch that is promised from then on."""
    store = Store.open(path, "a")
    store.write_instance(SOURCE, {"stage": "source"})
    if not store.has(SOURCE, FIRST):
        store.write(SOURCE, FIRST, ROWS, None, ())
    note(f"{SOURCE}/{FIRST}")
    store.write_instance(DRAW, {"stage": "draw.toy"})
    if not store.has(DRAW, SECOND):
        store.write(DRAW, SECOND, DRAWN, (SOURCE, FIRST), ("image",))
    note(f"{DRAW}/{SECOND}")
    store.write_run("demo", RECORD)


def withdraw(path: Path, note: Callable[[str], None] = lambda text: None) -> None:
    """What `--retry-failed` does: a good batch goes, and is made again."""
    note(f"not {DRAW}/{SECOND}")
    Store.open(path, "a").withdraw(DRAW, SECOND)
    fill(path, note)


def forget(path: Path, note: Callable[[str], None] = lambda text: None) -> None:
    """What `store gc` does when a run is gone: all its batches go."""
    note(f"not {DRAW}/{SECOND}")
    note(f"not {SOURCE}/{FIRST}")
    shutil.rmtree(path / "runs" / "demo")
    collect(Store.open(path, "a"))


def promised(changes: list[Change]) -> set[str]:
    """Batches that were said to be committed and not withdrawn since."""
    found: set[str] = set()
    for change in changes:
        if change.kind == "note" and change.data.startswith("not "):
            found.discard(change.data.removeprefix("not "))
        elif change.kind == "note":
            found.add(change.data)
    return found


def check_store(path: Path, expected: set[str]) -> None:
    """Every batch that is there reads whole, and every promised one is there."""
    there = {str(p.parent.relative_to(path)) for p in path.glob("*-*/[0-9]*/zarr.json")}
    assert expected <= there
    if not (path / "zarr.json").exists():
        return
    store = Store.open(path, "r")
    for instance in store.instances():
        for name in store.names(instance):
            batch = store.read(instance, name, None)
            assert batch["prompt"] == ["a", "b"]
            assert "image" not in batch or [int(a.max()) for a in batch.arrays("image")] == [0, 1]
    assert {name: store.run(name) for name in store.runs()} in ({}, {"demo": store.run("demo")})


def fingerprint(folder: Path) -> str:
    """One digest of all names and bytes."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return hashlib.blake2b(repr((names, files_of(folder))).encode()).hexdigest()


def images(
    changes: list[Change], start: Path, place: Path, policies: list[str], rng: random.Random
) -> Iterator[tuple[int, Path]]:
    """Each folder that a power cut can leave after each change, once."""
    seen = set()
    for step in range(len(changes) + 1):
        for policy in policies:
            disk = Disk(place / "live")
            disk.copy_of(start)
            for change in changes[:step]:
                disk.apply(change)
            image = place / "image"
            shutil.rmtree(image, ignore_errors=True)
            disk.leave(image, policy, rng)
            left = fingerprint(image) + repr(sorted(promised(changes[:step])))
            if left not in seen:
                seen.add(left)
                yield step, image


@pytest.mark.parametrize("act", [fill, withdraw, forget], ids=lambda act: act.__name__)
def test_power_cut_at_any_step_leaves_batches_whole_or_absent(
    act: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    start, live, recorder = tmp_path / "start", tmp_path / "live", Recorder()
    for folder in (start, live, tmp_path / "whole"):
        folder.mkdir()
    if act is not fill:
        fill(start / "s.zarr")
        recorder.note(f"{SOURCE}/{FIRST}")
        recorder.note(f"{DRAW}/{SECOND}")
    shutil.copytree(start, live, dirs_exist_ok=True)
    with Interposer([live], recorder):
        act(live / "s.zarr", recorder.note)
    fill(tmp_path / "whole" / "s.zarr")
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    rng, policies = random.Random(SEED), [*POLICIES, *[MIXED] * count(1, 60)]
    tried = 0
    for step, image in images(recorder.changes, start, tmp_path, policies, rng):
        path = image / "s.zarr"
        check_store(path, promised(recorder.changes[:step]))
        fill(path)
        assert verify(Store.open(path, "a")) == []
        assert files_of(path) == files_of(tmp_path / "whole" / "s.zarr")
        tried += 1
    assert tried > len(recorder.changes) // 2
    outcomes = {"whole or absent, then mended": tried, "steps": len(recorder.changes)}
    tally(f"power cut: {act.__name__}", tried, outcomes, str(SEED))


def test_power_cut_in_a_run_is_mended_by_the_next(
    slow: Path, imgtool: Imgtool, tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = changes_of_a_run(slow, tmp_path)
    places = ("s.zarr", "s.zarr.d", "out")
    whole = files_of(slow / "s.zarr"), files_of(slow / "out")
    rng, outcomes = random.Random(SEED), Counter[str]()
    for _ in range(count(3, 120)):
        disk = Disk(slow)
        for change in changes[: rng.randrange(len(changes))]:
            disk.apply(change)
        for place in places:
            shutil.rmtree(slow / place, ignore_errors=True)
        disk.leave(slow, rng.choice([*POLICIES, MIXED]), rng)
        outcomes["batches left"] += len(list(slow.glob("s.zarr/*-*/[0-9]*/zarr.json")))
        if (slow / "s.zarr" / "zarr.json").exists():
            assert verify(Store.open(slow / "s.zarr", "r"), repair=False) == []
        for name, digest in files_of(slow / "out").items() if (slow / "out").exists() else ():
            assert not name.endswith(".png") or digest == whole[1][name]
        again = imgtool(*RUN)
        assert again.status == 0, again.err
        assert imgtool("store", "verify", "s.zarr").status == 0
        assert (files_of(slow / "s.zarr"), files_of(slow / "out")) == whole
        outcomes["next run ended with equal bytes"] += 1
    tried = outcomes["next run ended with equal bytes"]
    tally("power cut: four-stage run", tried, dict(outcomes), str(SEED))


def changes_of_a_run(slow: Path, tmp_path: Path) -> list[Change]:
    """Every change that an unbroken run makes, in order."""
    site, log = tmp_path / "site", tmp_path / "changes.jsonl"
    site.mkdir()
    roots = [slow / name for name in ("s.zarr", "s.zarr.d", "out")]
    (site / "sitecustomize.py").write_text("\n".join(lines_of_sitecustomize(roots, log)))
    folders = (str(site), os.path.dirname(__file__), os.environ["PYTHONPATH"])
    done = subprocess.run(
        [sys.executable, "-m", "imgtool", *RUN],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return recorded(log)
