"""Tiny models on disk, made once a session, and stages opened on them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    # Threads that wait for one another cost more than these nets.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGTOOL_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CLIPModel of random weights, its tokenizer and its preprocessing."""
    from imgtool_score.tiny import save_clip

    return save_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All installed components, found once."""
    from imgtool.registry import Registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        loaded = Registry.load()
        loaded.components("model")
        return loaded


@pytest.fixture
def opened(registry: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a stage class with params, and closes it after the test."""
    from imgtool.runtime.context import Runtime
    from imgtool.runtime.shared import Shared

    shared = Shared()
    stages: list[Any] = []

    def open_stage(stage_class: Any, params: Any, **settings: Any) -> Any:
        stage = stage_class()
        runtime = Runtime(device="cpu", shared=shared, registry=registry, **settings)
        stage.params, stage.runtime = params, runtime.for_stage()
        stage.runtime.journal = tmp_path / f"journal-{len(stages)}"
        stage.open(params, stage.runtime)
        stages.append(stage)
        return stage

    yield open_stage
    for stage in stages:
        stage.close()
    assert len(shared) == 0
