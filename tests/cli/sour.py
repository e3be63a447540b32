"""A plugin of stages that cannot go on, or need a model, and the fixtures that install it."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = {
    "plugin.py": """
        from imgtool.api import Component, hookimpl

        @hookimpl
        def imgtool_components():
            where = "sour_stages.stages"
            yield Component("stage", "sour.toy", f"{where}:Sour", "Raise an error.")
            yield Component("stage", "weigh.toy", f"{where}:Weigh", "Need a model.")
            yield Component("stage", "pair.one", f"{where}:One", "One of two.")
            yield Component("stage", "pair.two", f"{where}:Two", "The other.")
            yield Component("stage", "lost.toy", f"{where}:Lost", "A class that is not there.")
    """,
    "stages.py": """
        from dataclasses import dataclass
        from typing import Annotated

        from imgtool import api
        from imgtool.api import PROMPT, Help, ModelRef, Stage

        @dataclass(frozen=True)
        class SourParams:
            what: Annotated[str, Help("Name of what to raise.")] = "ImgtoolError"

        class Sour(Stage[SourParams]):
            id, version, summary = "sour.toy", 1, "Raise an error."
            consumes, produces = (PROMPT,), (PROMPT,)

            def open(self, params, runtime):
                if params.what == "a bug":
                    1 / 0

            def process(self, batch):
                if self.params.what == "MemoryError":
                    raise MemoryError
                raise getattr(api, self.params.what)("this stage is sour")

        @dataclass(frozen=True)
        class WeighParams:
            model: Annotated[str, ModelRef("toy"), Help("What to weigh.")] = "pebble"

        class Weigh(Stage[WeighParams]):
            id, version, summary = "weigh.toy", 1, "Need a model."
            consumes, produces = (PROMPT,), (PROMPT,)

            def process(self, batch):
                return batch

        class One(Stage[None]):
            id, version, summary = "pair.one", 1, "One of two."
            consumes, produces = (PROMPT,), (PROMPT,)

        class Two(One):
            id = "pair.two"
    """,
}


@pytest.fixture(scope="session")
def sour_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a plugin of stages that cannot go on is installed."""
    site = tmp_path_factory.mktemp("sour")
    (site / "sour_stages").mkdir()
    for name, text in {"__init__.py": "", **PLUGIN}.items():
        (site / "sour_stages" / name).write_text(textwrap.dedent(text))
    info = site / "sour_stages-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sour-stages\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[imgtool]\nsour = sour_stages.plugin\n")
    return site


@pytest.fixture
def place(world: Path, toy_site: Path, sour_site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the toy plugin and the sour one."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(toy_site), str(sour_site))))
    monkeypatch.setenv("IMGTOOL_PLUGINS", "toy-stages,sour-stages")
    return world
