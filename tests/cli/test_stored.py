"""Runs are found by name, or by the beginning of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgtool.cli.stored import run_named
from imgtool.errors import InputEmpty, UnknownComponent
from imgtool.store import Store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "s.zarr", "a")


def test_the_beginning_of_one_name_is_enough(store: Store) -> None:
    for name in ("draw-1a2b", "score", "score-3c4d"):
        store.write_run(name, {})
    assert run_named(store, "dr") == "draw-1a2b"
    assert run_named(store, "score") == "score"


def test_the_beginning_of_several_names_lists_them(store: Store) -> None:
    for name in ("draw-1a2b", "draw-3c4d", "score"):
        store.write_run(name, {})
    with pytest.raises(UnknownComponent, match="several runs that begin with 'draw'") as caught:
        run_named(store, "draw")
    assert caught.value.hint == "Say which: draw-1a2b, draw-3c4d"


def test_a_name_that_is_none_gets_the_near_one(store: Store) -> None:
    store.write_run("portrait", {})
    with pytest.raises(UnknownComponent, match="has no run 'potrait'") as caught:
        run_named(store, "potrait")
    assert "did you mean 'portrait'" in caught.value.hint


def test_no_name_means_a_run_that_must_be_there(store: Store) -> None:
    with pytest.raises(InputEmpty, match="has no runs"):
        run_named(store)
    store.write_run("only", {})
    assert run_named(store) == "only"
