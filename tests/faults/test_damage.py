"""Bits flip and files are cut or lost: noticed or harmless, never read as something else."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from test_resume import files_of
from torture import count
from within import one_line

from imgtool.errors import ImgtoolError, StoreTooNew
from imgtool.store import Store
from imgtool.store.verify import mend_root, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torture import Tally
    from within import Within
    from worlds import Answer, Imgtool

pytestmark = pytest.mark.faults

SEED = 57
PIPELINE = """
[small]
[[small.stage]]
use = "draw.toy"
n = 2
[[small.stage]]
use = "score.red"
[[small.stage]]
use = "select.best"
by = "score.red"
"""
RUN = ("run", "small", "prompts.txt", "--store", "s.zarr", "--batch", "2", "--json")
OUT = ("-o", "out/{id}.png")
ROWS_FAILED = 1
KINDS = ("bit flipped", "file cut", "file deleted")


def finished(world: Path, run: Callable[..., Answer]) -> Answer:
    """A store of four stages and one failed row, and pictures made of it."""
    (world / "pipelines.toml").write_text(PIPELINE)
    (world / "prompts.txt").write_text("red\nblue\ngreen\nfail\n")
    answer = run(*RUN, *OUT)
    assert answer.status == ROWS_FAILED, answer.err
    return answer


def damage(path: Path, kind: str, rng: random.Random) -> None:
    """Do something bad to a file that is not empty."""
    data = bytearray(path.read_bytes())
    if kind == KINDS[0]:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
    elif kind == KINDS[1]:
        os.truncate(path, rng.randrange(len(data)))
    else:
        path.unlink()


def contents(path: Path) -> dict[str, Any]:
    """Everything that reading a store says, each part for itself; a refusal is its class."""
    found: dict[str, Any] = {}

    def ask(name: str, what: Callable[[], Any]) -> None:
        try:
            found[name] = what()
        except ImgtoolError as err:
            found[name] = type(err)

    ask("store", lambda: bool(Store.open(path, "r")))
    if found["store"] is not True:
        return found
    store = Store.open(path, "r")
    for run in store.runs():
        ask(f"run {run}", lambda run=run: store.run(run))
    for instance in store.instances():
        ask(instance, lambda instance=instance: store.instance(instance))
        for name in store.names(instance):
            ask(f"{instance}/{name}", lambda at=(instance, name): plain(store, *at))
    return found


def plain(store: Store, instance: str, name: str) -> list[object]:
    """A batch as values that compare, with the arrays that it holds itself."""
    made = store.made_in(instance, name)
    batch = store.read(instance, name, made)
    arrays = {n: [a.tolist() for a in batch.arrays(n)] for n in made}
    rest = {n: v for n, v in batch.columns.items() if n not in arrays}
    return [batch.ids, batch.parents, batch.failures, batch.number, arrays, rest]


def is_right_or_refused(found: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Whether what was read is what was written, or was refused as damaged, each part."""
    return all(isinstance(value, type) or value == whole[name] for name, value in found.items())


def check_read(whole: Answer, again: Answer, pictures: dict[str, str], out: Path) -> bool:
    """A run over a damaged store gives what it gave, or says that it cannot; whether it said."""
    left = files_of(out) if out.exists() else {}
    assert left.items() <= pictures.items(), "a wrong picture was written"
    if again.status == whole.status:
        assert (again.out, left) == (whole.out, pictures)
        return False
    assert again.status == (2 if "newer than" in again.err else 3), again.err
    assert one_line(again), again.err
    assert set(again.out.splitlines()) <= set(whole.out.splitlines()), "a wrong row was printed"
    return True


def faults_of(path: Path) -> bool:
    """Whether `imgtool store verify` would say anything; nothing but the root is mended."""
    try:
        return bool(mend_root(path) + verify(Store.open(path, "r"), repair=False))
    except StoreTooNew:
        return True


def mend(path: Path, undamaged: dict[Path, bytes]) -> None:
    """What `imgtool store verify` does."""
    try:
        mend_root(path)
        verify(Store.open(path, "a"))
    except StoreTooNew:  # that the number of the format was flipped nobody can tell
        (path / "zarr.json").write_bytes(undamaged[path / "zarr.json"])


def test_damage_is_noticed_or_harmless(
    world: Path, within: Within, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    finished(world, within)
    path = world / "s.zarr"
    undamaged = {p: p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}
    values, rng, outcomes = contents(path), random.Random(SEED), Counter[str]()
    for _ in range(count(150, 10_000, cheap=True)):
        kind, file = rng.choice(KINDS), rng.choice(list(undamaged))
        damage(file, kind, rng)
        found = contents(path)
        assert is_right_or_refused(found, values), (kind, file)
        refused = any(isinstance(value, type) for value in found.values())
        verified = faults_of(path)
        assert verified or not refused, (kind, file)
        assert verified or found == values or kind == KINDS[2], (kind, file)
        seen = "noticed when read" if refused else "noticed by verify" if verified else "harmless"
        outcomes[f"{kind}: {seen}"] += 1
        file.write_bytes(undamaged[file])
    assert all(outcomes[f"{kind}: noticed when read"] for kind in KINDS)
    tally("damaged bytes", outcomes.total(), dict(outcomes), str(SEED))


def test_a_run_over_damage_says_so_or_is_right_and_after_verify_it_restores_all(
    world: Path, within: Within, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    answer, path = finished(world, within), world / "s.zarr"
    whole, pictures = files_of(path), files_of(world / "out")
    undamaged = {p: p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}
    rng, outcomes = random.Random(SEED), Counter[str]()
    for _ in range(count(30, 1000)):
        kind, file = rng.choice(KINDS), rng.choice(list(undamaged))
        damage(file, kind, rng)
        shutil.rmtree(world / "out")
        said = check_read(answer, within(*RUN, *OUT), pictures, world / "out")
        mend(path, undamaged)
        last = within(*RUN, *OUT)
        assert last.status == answer.status, last.err
        assert (files_of(path), files_of(world / "out")) == (whole, pictures), (kind, file)
        outcomes["run refused, then restored" if said else "run right, then restored"] += 1
    tally("damaged bytes, runs", outcomes.total(), dict(outcomes), str(SEED))


def test_lost_marks_of_failed_rows_are_noticed(world: Path, within: Within) -> None:
    answer = finished(world, within)
    mark = next((world / "s.zarr.d" / "failed").iterdir())
    mark.unlink()
    assert [d.reason for d in verify(Store.open(world / "s.zarr", "a"))]
    assert within(*RUN).status == answer.status
    assert mark.exists()
    shutil.rmtree(world / "s.zarr.d")
    assert within(*RUN).status == answer.status


def test_the_real_command_says_damage_in_one_line_and_its_advice_mends_it(
    world: Path, imgtool: Imgtool, tally: Tally
) -> None:
    finished(world, imgtool)
    path = world / "s.zarr"
    whole, rng, outcomes = files_of(path), random.Random(SEED), Counter[str]()
    for at in range(count(3, 60)):
        kind = KINDS[at % len(KINDS)]
        damage(rng.choice([p for p in sorted(path.glob("*-*/**/*")) if p.is_file()]), kind, rng)
        shown = imgtool("export", "s.zarr", "-o", "shown/{id}.png")
        assert shown.status == 0 or one_line(shown), shown.err
        checked = imgtool("store", "verify", "s.zarr")
        assert (checked.status, checked.err) == (ROWS_FAILED, ""), checked.err
        assert imgtool(*RUN).status == ROWS_FAILED
        assert imgtool("store", "verify", "s.zarr").status == 0
        assert imgtool("store", "gc", "s.zarr").out.startswith("removed 0 batches")
        assert files_of(path) == whole
        outcomes[f"{kind}, mended"] += 1
    tally("damaged bytes, real command", outcomes.total(), dict(outcomes), str(SEED))
