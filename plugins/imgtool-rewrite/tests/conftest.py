"""Stages opened as the engine opens them, and the chat service that scorers are tested with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

for plugin in ("imgtool-score", "imgtool-generate", "imgtool-rewrite"):
    sys.path.insert(0, str(Path(__file__).parents[2] / plugin / "tests"))


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what diffusers' schedulers do with numpy 2."""
    ignored = "ignore:__array__ implementation:DeprecationWarning"
    config.addinivalue_line("filterwarnings", ignored)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All installed components, found once."""
    from imgtool.registry import Registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        loaded = Registry.load()
        loaded.components("chat")
        return loaded


@pytest.fixture
def opened(registry: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a stage class with params, and closes it after the test."""
    from imgtool.runtime.context import Runtime
    from imgtool.runtime.shared import Shared

    shared = Shared()
    stages: list[Any] = []

    def open_stage(stage_class: Any, params: Any) -> Any:
        stage = stage_class()
        stage.params = params
        stage.runtime = Runtime(device="cpu", shared=shared, registry=registry).for_stage()
        stage.runtime.journal = tmp_path / f"journal-{len(stages)}"
        stages.append(stage)
        stage.open(params, stage.runtime)
        return stage

    yield open_stage
    for stage in stages:
        stage.close()
    assert len(shared) == 0
