"""Unnamed runs: least recently used go, pinned ones and a store in use stay."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from imgtool.batch import Batch
from imgtool.engine.source import SOURCE_KEY, commit_source
from imgtool.errors import UsageError
from imgtool.store import Store
from imgtool.unnamed import evict, in_use, size_limit, unnamed_store

if TYPE_CHECKING:
    from pathlib import Path


def add_run(name: str, used_at: int, pinned: bool = False) -> Store:
    """A run of one batch of text in the store of unnamed runs."""
    store = Store.open(unnamed_store(), "a")
    batch = Batch((name,), {"prompt": [name * 1000]})
    record = {"stages": [], "source": SOURCE_KEY, "batches": [commit_source(store, batch)]}
    store.write_run(name, {**record, **({"pinned": True} if pinned else {})})
    os.utime(store.path / "runs" / name / "zarr.json", (used_at, used_at))
    return store


def test_least_recently_used_runs_go_until_the_rest_fits() -> None:
    for name, used_at in (("old", 1), ("older", 0), ("new", 2)):
        store = add_run(name, used_at)

    gone = evict(7000, now=True)

    assert gone == ["older", "old"]
    assert store.runs() == ["new"]
    assert len(store.names(SOURCE_KEY)) == 1


def test_pinned_runs_stay() -> None:
    add_run("kept", 0, pinned=True)
    store = add_run("loose", 1)

    evict(0, now=True)

    assert store.runs() == ["kept"]


def test_a_damaged_record_does_not_keep_the_cache_from_being_tidied() -> None:
    add_run("old", 0)
    store = add_run("broken", 1)
    with (store.path / "runs" / "broken" / "zarr.json").open("a") as record:
        record.write("x")

    assert evict(0, now=True) == ["old"]

    assert store.runs() == []
    assert store.names(SOURCE_KEY) == set()


def test_nothing_goes_while_a_process_uses_the_store() -> None:
    store = add_run("busy", 0)

    with in_use(store.path):
        assert evict(0, now=True) == []

    assert store.runs() == ["busy"]


def test_the_size_is_looked_at_only_now_and_then() -> None:
    add_run("first", 0)
    assert evict(10**9) == []

    assert evict(0) == []


def test_a_named_store_is_never_touched(tmp_path: Path) -> None:
    with in_use(tmp_path / "mine.zarr"):
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "size"), [("20G", 20 * 2**30), ("1.5k", 1536), ("77", 77)])
def test_the_limit_is_a_size(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("IMGTOOL_CACHE_LIMIT", text)

    assert size_limit() == size


def test_a_limit_that_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGTOOL_CACHE_LIMIT", "lots")

    with pytest.raises(UsageError, match="'LOTS'"):
        size_limit()
