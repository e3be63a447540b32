"""Runs and stages from Python, over torch-free stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import imgtool
from imgtool.engine.python import StageCall
from imgtool.errors import StageFailed, UnknownComponent
from imgtool.fields import PROMPT
from imgtool.runtime.context import Runtime
from imgtool.stages import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.batch import Batch

PIPELINE = """
[colours]
[[colours.stage]]
use = "rewrite.template"
[[colours.stage]]
use = "select.where"
condition = "'red' in prompt"
"""


def test_a_pipeline_runs_and_its_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines.toml").write_text(PIPELINE)
    run = imgtool.run("pipelines.toml:colours", ["a {red|blue} cube"], store=tmp_path / "s.zarr")
    assert [row.prompt for row in run.rows] == ["a red cube"]
    assert run.rows[0].id == "0.0"
    assert list(run["rewrite.template"].prompt) == ["a red cube", "a blue cube"]
    with pytest.raises(UnknownComponent, match="no stage 'x'"):
        run["x"]


def test_overrides_reach_the_stage_they_name(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(PIPELINE)
    change = {"select.where.condition": "'blue' in prompt"}
    run = imgtool.run(f"{file}:colours", ["a {red|blue} cube"], overrides=change)
    assert [row["prompt"] for row in run.rows] == ["a blue cube"]


@pytest.mark.parametrize(("scope", "kept"), [("siblings", 20), ("run", 1)])
def test_a_parameter_says_whether_rows_of_all_batches_compete(
    tmp_path: Path, scope: str, kept: int
) -> None:
    file = tmp_path / "p.toml"
    file.write_text('[front]\n[[front.stage]]\nuse = "select.pareto"\nby = ["seed"]\n')
    change = {"select.pareto.scope": scope}
    run = imgtool.run(f"{file}:front", [f"cube {at}" for at in range(20)], overrides=change)
    assert len(run.rows) == kept


@dataclass(frozen=True)
class NoParams:
    """None."""


class Notes(Stage[NoParams]):
    """Answers from its notes where it has any."""

    id, version, summary = "rewrite.notes", 1, "Remember."
    consumes = produces = (PROMPT,)

    def process(self, batch: Batch) -> Batch:
        note = self.runtime.journal / "note.txt"
        if not note.exists():
            note.write_text(batch.texts("prompt")[0])
        return batch.with_columns(prompt=[note.read_text()])


def test_a_call_of_a_stage_knows_nothing_of_the_call_before() -> None:
    opened, runtime = Notes(), Runtime()
    opened.runtime = runtime.for_stage()
    call = StageCall(opened, runtime)
    assert [call(prompt=text)["prompt"] for text in ("red", "blue")] == ["red", "blue"]


def test_a_stage_is_a_function_of_fields() -> None:
    with imgtool.stage("rewrite.template") as expand:
        rows = expand(prompt="{red|blue}")
    assert [row["prompt"] for row in rows] == ["red", "blue"]


def test_a_pipeline_says_in_python_too_how_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text('[p]\nseed = 7\non_error = "stop"\n[[p.stage]]\nuse = "image.read"\n')
    missing = [{"path": "none.png"}]
    with pytest.raises(StageFailed):
        imgtool.run(f"{file}:p", rows=missing)
    assert len(imgtool.run(f"{file}:p", rows=missing, on_error="skip").failures) == 1

    file.write_text('[p]\nseed = 7\n[[p.stage]]\nuse = "select.where"\ncondition = "1"\n')
    rows = [imgtool.run(f"{file}:p", "a cube", seed=seed).rows for seed in (None, 7, 0)]
    assert [list(found.prompt) for found in rows] == [["a cube"]] * 3
    assert rows[0][0].seed == rows[1][0].seed != rows[2][0].seed
