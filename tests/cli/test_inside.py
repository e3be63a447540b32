"""What plugins may do inside: run stages over rows in a command, and a stage in a stage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Imgtool

COMMAND = """
import json
import click
from imgtool.api import Component, current_registry, hookimpl, run_rows

@click.command()
@click.argument("then")
def judged(then):
    spec = current_registry().spec("stage", "score.red")
    rows = [{"prompt": "a cat", "id": "x"}, {"prompt": "fail", "id": "y"}]
    stages = [("draw", {"size": 4}), (then, {})]
    run = run_rows(rows, then=stages, overrides={"draw.tint": "red"}, on_error="skip")
    print(json.dumps([spec.id, *run.rows.values("score.red")]))

@hookimpl
def imgtool_commands():
    yield Component("command", "judged", "inside:judged", "Draw and judge.")
"""
FRAMED = """
from dataclasses import dataclass
from typing import Annotated
from imgtool.api import IMAGE, PROMPT, SEED, Help, Stage, StageRef

@dataclass(frozen=True)
class Params:
    inner: Annotated[str, Help("Stage that draws."), StageRef()] = "draw:size=4"

class Framed(Stage[Params]):
    id, summary = "framed.toy", "Draw by another stage, with a frame."
    consumes, produces = (PROMPT, SEED), (IMAGE,)

    def open(self, params, runtime):
        self.inner = runtime.stage(params.inner)

    def process(self, batch):
        import numpy as np
        drawn, edges = self.inner.process(batch), ((1, 1), (1, 1), (0, 0))
        return drawn.with_columns(image=[np.pad(image, edges) for image in drawn["image"]])
"""


@pytest.fixture
def plugin(world: Path, toy_site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin with a command of its own beside the toy one."""
    from worlds import install

    site = world / "site"
    site.mkdir()
    install(site, "inside-command", {"plugin.py": COMMAND})
    (site / "inside.py").write_text(COMMAND)
    monkeypatch.setenv("PYTHONPATH", f"{toy_site}:{site}")
    monkeypatch.setenv("IMGTOOL_PLUGINS", "toy-stages,inside-command")


@pytest.mark.usefixtures("plugin")
def test_a_plugins_command_runs_stages_over_rows(imgtool: Imgtool) -> None:
    answer = imgtool("judged", "score.red")
    assert answer.status == 0, answer.err
    assert json.loads(answer.out) == ["score.red", 255.0]


@pytest.mark.usefixtures("plugin")
def test_its_errors_are_those_of_imgtool(imgtool: Imgtool) -> None:
    answer = imgtool("judged", "score.rad")
    assert answer.status == 2
    assert "score.rad" in answer.err and "score.red" in answer.err
    assert "Traceback" not in answer.err


def test_a_stage_in_a_stage_is_part_of_what_a_result_depends_on(
    imgtool: Imgtool, world: Path
) -> None:
    (world / "framed.py").write_text(FRAMED)

    def size(inner: str) -> tuple[int, int]:
        command = ("--plugin", "framed.py", "framed", "a cat", "--inner", inner)
        answer = imgtool(*command, "--store", "s.zarr", "-o", "{id}.png")
        assert answer.status == 0, answer.err
        (picture,) = world.glob("*.png")
        with Image.open(picture) as image:
            return image.size

    four, ten = size("draw:size=4"), size("draw:size=10")
    unknown = imgtool("--plugin", "framed.py", "framed", "a cat", "--inner", "draw:sise=4")
    assert (four, ten) == ((6, 6), (12, 12))
    assert unknown.status == 2 and "size" in unknown.err
