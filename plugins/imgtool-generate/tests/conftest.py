"""Tiny models on disk, made once a session, and stages opened on them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

sys.path.insert(0, str(Path(__file__).parent))


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what diffusers' schedulers do with numpy 2."""
    ignored = "ignore:__array__ implementation:DeprecationWarning"
    config.addinivalue_line("filterwarnings", ignored)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    # Threads that wait for one another cost more than these nets.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGTOOL_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of the tiny model of a family."""
    import tiny

    root = tmp_path_factory.mktemp("tiny")

    def folder(family: str) -> Path:
        path = root / family
        return path if path.exists() else tiny.save(family, path)

    return folder


@pytest.fixture
def opened() -> Iterator[Callable[..., Any]]:
    """Opens a stage class with params, and closes it after the test."""
    from imgtool.runtime.context import Runtime

    stages: list[Any] = []

    def open_stage(stage_class: Any, params: Any, **settings: Any) -> Any:
        stage = stage_class()
        stage.open(params, Runtime(device="cpu", **settings).for_stage())
        stages.append(stage)
        return stage

    yield open_stage
    for stage in stages:
        stage.close()
