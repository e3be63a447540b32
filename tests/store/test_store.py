"""What is written comes back, in any reader; what is damaged is found; nothing is half there."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgtool.batch import Batch, Failure
from imgtool.engine.source import batches_of, commit_source
from imgtool.errors import StorageFull, StoreDamaged, StoreNotFound, StoreReadOnly, StoreTooNew
from imgtool.store import Store
from imgtool.store.atomic import MARK, committed_folder, write_file
from imgtool.store.gc import collect
from imgtool.store.keys import (
    barrier_batch_names,
    batch_name,
    instance_key,
    source_batch_name,
)
from imgtool.store.pack import pack
from imgtool.store.verify import verify

SOURCE = instance_key("source", 1, {}, "", None)
DRAW = instance_key("draw.toy", 1, {"n": 1}, "", SOURCE)

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(), texts)
arrays = st.tuples(
    st.sampled_from(["uint8", "float32", "float16", "int64"]),
    st.lists(st.integers(0, 3), max_size=3),
).map(lambda pair: np.arange(math.prod(pair[1])).reshape(pair[1]).astype(pair[0]))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    count = draw(st.integers(0, 5))
    columns = {
        "prompt": draw(st.lists(scalars, min_size=count, max_size=count)),
        "image": draw(st.lists(arrays, min_size=count, max_size=count)),
    }
    failed = {"9": Failure("draw", "ValueError", draw(texts))} if draw(st.booleans()) else {}
    return Batch(
        tuple(str(i) for i in range(count)),
        columns,
        failures=failed,
        number=draw(st.integers(0, 99)),
    )


def same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    return a == b or (
        isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches())
def test_any_batch_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, batch: Batch
) -> None:
    store = Store.open(tmp_path_factory.mktemp("s") / "s.zarr", "a")
    store.write(SOURCE, "000000-x", batch, None, ("image",))
    back = store.read(SOURCE, "000000-x", None)
    assert (back.ids, back.parents, back.number) == (batch.ids, batch.parents, batch.number)
    assert dict(back.failures) == dict(batch.failures)
    for name in batch.columns:
        if name in back.columns:
            assert all(same(a, b) for a, b in zip(batch[name], back[name], strict=True))
        else:
            assert len(batch) == 0


def source(*prompts: str) -> Batch:
    ids = tuple(str(i) for i in range(len(prompts)))
    return Batch(ids, {"prompt": list(prompts), "seed": list(range(len(prompts)))})


def filled(path: Path) -> tuple[Store, str, str]:
    """A store with a run of one source batch and the pictures made of it."""
    store = Store.open(path, "a")
    rows = source("a", "b", "c")
    first = source_batch_name(0, SOURCE, rows)
    store.write_instance(SOURCE, {"stage": "source"})
    store.write_instance(DRAW, {"stage": "draw.toy"})
    store.write(SOURCE, first, rows, None, ())
    many = rows.repeat(2)
    drawn = many.with_columns(image=[np.full((4, 4, 3), i, np.uint8) for i in range(6)])
    second = batch_name(0, DRAW, first)
    store.write(DRAW, second, drawn, (SOURCE, first), ("image",))
    stage = {"label": "draw", "instance": DRAW, "upstream": SOURCE, "barrier": False}
    store.write_run("demo", {"stages": [stage], "source": SOURCE, "batches": [first]})
    return store, first, second


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.blake2b(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_numbers_of_numpy_are_kept_as_numbers(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s.zarr", "a")
    scores = [np.float32(0.5), np.float64("nan"), None]
    given = Batch(("0", "1", "2"), {"score.x": scores, "n": [np.int64(7), np.True_, 3]})
    store.write(DRAW, "000000-n", given, None, ())

    kept = store.read(DRAW, "000000-n").columns
    assert [repr(value) for value in kept["score.x"]] == ["0.5", "nan", "None"]
    assert [repr(value) for value in kept["n"]] == ["7", "True", "3"]


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    filled(tmp_path / "a.zarr")
    filled(tmp_path / "b.zarr")
    assert digests(tmp_path / "a.zarr") == digests(tmp_path / "b.zarr")


def test_plain_zarr_and_xarray_read_it(tmp_path: Path) -> None:
    import xarray
    import zarr

    _, _, second = filled(tmp_path / "s.zarr")
    group = zarr.open_group(str(tmp_path / "s.zarr"), mode="r")
    assert set(group.group_keys()) == {SOURCE, DRAW, "runs"}
    array = group[f"{DRAW}/{second}/image.4x4x3"]
    assert array.shape == (6, 4, 4, 3)
    opened = xarray.open_zarr(str(tmp_path / "s.zarr" / DRAW / second), consolidated=False)
    assert opened["image.4x4x3"].dims == ("row", "H", "W", "RGB")
    assert int(opened["image.4x4x3"][5].max()) == 5


def test_arrays_are_found_in_the_batch_they_were_made_in(tmp_path: Path) -> None:
    store, _, second = filled(tmp_path / "s.zarr")
    top = instance_key("select.top", 1, {}, "", DRAW)
    kept = store.read(DRAW, second).keep([4, 1])
    given = Batch(kept.ids, kept.columns, parents=kept.ids)
    store.write(top, "000000-k", given, (DRAW, second), ())
    assert [int(a.max()) for a in store.read(top, "000000-k", ("image",)).arrays("image")] == [4, 1]


@pytest.mark.parametrize("fault", ["flip", "cut", "delete"])
def test_verify_finds_every_fault_and_withdraws_the_batch(tmp_path: Path, fault: str) -> None:
    store, _, second = filled(tmp_path / "s.zarr")
    folder = store.path / DRAW / second
    for path in [p for p in sorted(folder.rglob("*")) if p.is_file()]:
        before, data = path.relative_to(folder), path.read_bytes()
        if fault == "flip":
            path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
        elif fault == "cut":
            path.write_bytes(data[:-1])
        else:
            path.unlink()
        found = verify(store)
        # Without its zarr.json a batch is not committed: there is nothing to withdraw.
        assert found or not folder.exists() or str(before) == "zarr.json", before
        assert {(d.instance, d.batch) for d in found} <= {(DRAW, second)}
        shutil.rmtree(folder, ignore_errors=True)
        filled(tmp_path / "s.zarr")
        assert verify(store) == []


def test_verify_withdraws_an_input_picture_that_is_damaged(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s.zarr", "a")
    rows = [{"id": "0", "image": np.zeros((4, 4, 3), np.uint8)}]
    name = commit_source(store, next(batches_of(rows, 1)))
    chunk = next((store.path / SOURCE / name).rglob("c/0/0/0/0"))
    chunk.write_bytes(b"\1" + chunk.read_bytes()[1:])

    assert [(d.batch, d.field, d.rows) for d in verify(store)] == [(name, "image", ("0",))]
    assert store.names(SOURCE) == set()


def test_cut_chunk_is_never_read_as_zeros(tmp_path: Path) -> None:
    store, _, second = filled(tmp_path / "s.zarr")
    next((store.path / DRAW / second).rglob("c/0/0/0/0")).unlink()
    with pytest.raises(StoreDamaged, match="missing or cut"):
        store.read(DRAW, second, ("image",))


def test_names_of_a_barriers_batches_are_those_of_every_store_so_far() -> None:
    above = [f"{number:06d}-{number * 7919:016x}" for number in range(3)]

    assert barrier_batch_names("select-0123456789abcdef", above) == [
        "000000-d0b0af20982887c7", "000001-08aa3aaeda927e1d", "000002-e6c6240d12c877ab",
    ]  # fmt: skip


def test_names_of_a_hundred_thousand_batches_of_a_barrier_are_quick() -> None:
    above = [f"{number:06d}-{number:016x}" for number in range(100_000)]

    started = time.process_time()
    names = barrier_batch_names("select-0123456789abcdef", above)

    assert len(set(names)) == len(above)
    assert time.process_time() - started < 10  # hashed anew for each batch: minutes


def test_gc_keeps_what_runs_reach(tmp_path: Path) -> None:
    store, first, second = filled(tmp_path / "s.zarr")
    other = instance_key("draw.toy", 1, {"n": 2}, "", SOURCE)
    store.write_instance(other, {})
    store.write(other, "000000-o", source("x"), (SOURCE, first), ())
    (store.path / DRAW / f"{MARK}dead").mkdir()
    for instance in (DRAW, other):
        store.journal(instance, "000001-k").mkdir(parents=True)
    assert collect(store, dry_run=True).batches == 1
    report = collect(store)
    assert (report.batches, report.instances) == (1, 1)
    assert store.names(DRAW) == {second}
    assert not list(store.path.rglob(f"{MARK}*"))
    assert [path.name for path in (store.beside / "journals").iterdir()] == [DRAW]


def test_pack_reads_back_equal_with_plain_zarr(tmp_path: Path) -> None:
    import zarr

    store, _, second = filled(tmp_path / "s.zarr")
    pack(store, "demo", tmp_path / "p.zarr")
    group = zarr.open_group(str(tmp_path / "p.zarr"), mode="r")
    wanted = np.stack(store.read(DRAW, second, ("image",)).arrays("image"))
    assert np.array_equal(group["image.4x4x3"][:], wanted)
    assert group.attrs["ids"] == ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]


def test_every_file_of_a_pack_is_synced_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda handle: synced.add(os.fstat(handle).st_ino))
    store, _, _ = filled(tmp_path / "s.zarr")
    synced.clear()
    pack(store, "demo", tmp_path / "p.zarr")
    files = [path for path in (tmp_path / "p.zarr").rglob("*") if path.is_file()]
    assert files
    assert synced >= {path.stat().st_ino for path in files}


def test_gc_keeps_what_kept_batches_were_made_of(tmp_path: Path) -> None:
    store, first, second = filled(tmp_path / "s.zarr")
    record = store.run("demo") or {}
    store.write_run("demo", {**record, "source": DRAW, "batches": [second], "stages": []})
    collect(store)
    assert store.names(SOURCE) == {first}


def test_a_run_that_is_not_whole_is_not_packed(tmp_path: Path) -> None:
    store, _, second = filled(tmp_path / "s.zarr")
    store.withdraw(DRAW, second)
    with pytest.raises(StoreDamaged, match="1 of the 1 batches"):
        pack(store, "demo", tmp_path / "p.zarr")
    assert not (tmp_path / "p.zarr").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
import imgtool.store.atomic as atomic
from imgtool.store import Store
sys.path.insert(0, sys.argv[3])
from test_store import DRAW, SOURCE, filled
kept = os.fsync
left = [int(sys.argv[2])]
def fsync(handle):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    kept(handle)
os.fsync = fsync
filled(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 7, 9, 11, 13])
def test_writer_killed_at_any_sync_leaves_nothing_half_done(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "s.zarr"
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(steps), here], check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    if (path / "zarr.json").exists():
        assert verify(Store.open(path, "a")) == []
    filled(path)
    filled(tmp_path / "whole.zarr")
    verify(Store.open(path, "a"))
    kept = {k: v for k, v in digests(path).items() if MARK not in k}
    assert kept == digests(tmp_path / "whole.zarr")


HOLDER = """
import sys, time
from pathlib import Path
from imgtool.store import Store
with Store.open(Path(sys.argv[1]), "a").claim("x"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_claim_is_held_by_one_process_and_freed_by_its_death(tmp_path: Path) -> None:
    store, *_ = filled(tmp_path / "s.zarr")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.path)], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    assert store.claim("x") is None
    holder.kill()
    holder.wait()
    holder.stdout.close()
    claim = store.claim("x")
    assert claim is not None
    with claim:
        pass


def test_second_writer_of_a_batch_changes_nothing(tmp_path: Path) -> None:
    store, *_ = filled(tmp_path / "s.zarr")
    before = digests(store.path)
    filled(tmp_path / "s.zarr")
    assert digests(store.path) == before


def test_stores_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        Store.open(tmp_path / "none.zarr", "r")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    with pytest.raises(StoreNotFound, match="no imgtool store"):
        Store.open(tmp_path / "folder", "a")
    store, *_ = filled(tmp_path / "s.zarr")
    with pytest.raises(StoreReadOnly):
        Store.open(store.path, "r").write(DRAW, "000001-x", source("a"), None, ())
    meta = store.path / "zarr.json"
    write_file(meta, meta.read_bytes().replace(b'"format": 1', b'"format": 99'))
    with pytest.raises(StoreTooNew, match="format 99"):
        Store.open(store.path, "r")


def test_a_record_of_an_older_imgtool_is_called_so(tmp_path: Path) -> None:
    store, *_ = filled(tmp_path / "s.zarr")
    path = store.path / "runs" / "demo" / "zarr.json"
    record = json.loads(path.read_text())
    del record["attributes"]["checksum"]
    path.write_text(json.dumps(record))
    with pytest.raises(StoreDamaged, match="has no checksum: an older imgtool wrote it") as caught:
        store.run("demo")
    assert caught.value.hint.startswith(f"imgtool store verify {store.path} takes it out")


def test_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        store = Store.open(small / "s.zarr", "a")
        big = source("a").with_columns(image=[np.zeros((512, 512, 3), np.uint8)])
        with pytest.raises(StorageFull, match="no space left"):
            store.write(SOURCE, "000000-big", big, None, ("image",))
        assert store.names(SOURCE) == set()
        assert not list(small.rglob(f"{MARK}*"))
        store.write(SOURCE, "000000-fits", source("a"), None, ())
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_file_is_written_through_a_link_and_into_a_pipe(tmp_path: Path) -> None:
    link, target, pipe = tmp_path / "link", tmp_path / "target", tmp_path / "pipe"
    target.write_bytes(b"old")
    link.symlink_to("target")
    write_file(link, b"new")
    assert (link.is_symlink(), target.read_bytes()) == (True, b"new")

    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_file(pipe, b"data")
    assert (os.read(reader, 9), pipe.is_fifo()) == (b"data", True)
    os.close(reader)


def test_folder_is_committed_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), committed_folder(tmp_path / "x") as folder:
        (folder / "part").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
