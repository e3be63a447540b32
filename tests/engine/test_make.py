"""Makers leave a folder whole or not at all, one process at a time."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgtool.components import Component
from imgtool.declared import spec_of
from imgtool.engine.facade import execute
from imgtool.engine.make import is_made, make_models, make_one
from imgtool.engine.planned import plan
from imgtool.engine.request import RunRequest
from imgtool.errors import OutputUnwritable, StageFailed
from imgtool.pipeline import MakerUse
from imgtool.registry import Registry
from imgtool.runtime.context import Runtime
from imgtool.spec_cache import Declared, Plugin
from imgtool.stages import Maker
from imgtool.store import Store
from imgtool.store.atomic import MARK


@dataclass(frozen=True)
class StoneParams:
    """What to carve."""

    weight: int = 1
    of: str = ""


class Stone(Maker[StoneParams]):
    """A model that is one number."""

    id, version, summary, task = "carve.stone", 1, "Carve a stone.", "stone"

    def make(self, params: StoneParams, inputs: object, out_dir: Path, runtime: Runtime) -> None:
        (out_dir / "stone.txt").write_text(str(params.weight), encoding="utf-8")
        if params.of:
            base = (Path(params.of) / "stone.txt").read_text(encoding="utf-8")
            (out_dir / "of.txt").write_text(base, encoding="utf-8")
        if not params.weight:
            raise ValueError("a stone of no weight")
        if params.weight < 0:
            raise OSError("a quarry cannot be reached")  # as libraries say it, without a number


@pytest.fixture
def registry() -> Registry:
    component = Component("maker", Stone.id, f"{__name__}:Stone", dist="d")
    spec = spec_of(component, Stone)
    declared = Declared(Plugin("d", "d", "d", ""), (component,), {(spec.kind, spec.id): spec})
    return Registry([declared])


def make(registry: Registry, folder: Path, weight: int = 3) -> None:
    make_one(Stone.id, {"weight": weight}, folder, registry, Runtime(registry=registry), "key")


def test_a_made_folder_stands_alone(registry: Registry, tmp_path: Path) -> None:
    make(registry, tmp_path / "stone")
    assert (tmp_path / "stone" / "stone.txt").read_text() == "3"
    assert [path.name for path in tmp_path.iterdir()] == ["stone"]


def test_every_file_of_a_model_is_synced_before_the_folder_gets_its_name(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda handle: synced.add(os.fstat(handle).st_ino))
    make(registry, tmp_path / "stone")
    assert synced >= {path.stat().st_ino for path in (tmp_path / "stone").iterdir()}


def test_a_made_folder_is_known_until_it_changes(registry: Registry, tmp_path: Path) -> None:
    make(registry, tmp_path / "stone")
    assert is_made(tmp_path / "stone", "key")
    assert not is_made(tmp_path / "stone", "another")
    (tmp_path / "stone" / "stone.txt").write_text("4")
    assert not is_made(tmp_path / "stone", "key")


def test_a_model_made_of_another_follows_what_that_was_made_of(
    registry: Registry, tmp_path: Path
) -> None:
    store, runtime = Store.open(tmp_path / "s.zarr", "a"), Runtime(registry=registry)
    carved = []
    for weight in (1, 2):
        base = MakerUse("base", "carve.stone", {"weight": weight})
        polished = MakerUse("polished", "carve.stone", {"weight": 5, "of": "@base"})
        carved.append(make_models([base, polished], registry, runtime, store)["polished"])
    (one, one_key), (two, two_key) = carved
    assert one_key != two_key
    assert [(Path(folder) / "of.txt").read_text() for folder in (one, two)] == ["1", "2"]


def test_a_plan_knows_a_made_model_that_was_made_of_another(
    registry: Registry, tmp_path: Path
) -> None:
    base = MakerUse("base", "carve.stone", {"weight": 1})
    polished = MakerUse("polished", "carve.stone", {"weight": 5, "of": "@base"})
    row = {"id": "0", "prompt": "a", "seed": 1}
    request = RunRequest((), [row], tmp_path / "s.zarr", makers=(base, polished))
    assert plan(request, registry).makers == ("base", "polished")
    execute(request, registry)
    assert plan(request, registry).makers == ()


@pytest.mark.parametrize(("weight", "said"), [(0, "no weight"), (-1, "cannot be reached")])
def test_a_maker_that_fails_leaves_no_folder(
    weight: int, said: str, registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(StageFailed, match=rf"carve.stone.*{said}"):
        make(registry, tmp_path / "stone", weight)
    assert not (tmp_path / "stone").exists()


def test_two_processes_never_make_one_folder(registry: Registry, tmp_path: Path) -> None:
    journal = tmp_path / "stone.journal"
    journal.mkdir()
    other = os.open(journal, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(OutputUnwritable, match="another process is making"):
        make(registry, tmp_path / "stone")
    os.close(other)
    make(registry, tmp_path / "stone")
    assert (tmp_path / "stone").is_dir()


def test_what_a_kill_left_beside_is_tidied(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / f"{MARK}dead").mkdir()
    make(registry, tmp_path / "stone")
    assert [path.name for path in tmp_path.iterdir()] == ["stone"]
