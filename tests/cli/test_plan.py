"""`--plan`: what is missing and why, with rows and time; nothing is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Imgtool

PIPELINE = '[two]\n[[two.stage]]\nuse = "upper.toy"\n[[two.stage]]\nuse = "draw"\nn = 3\n'
COMMAND = ("run", "two", "--store", "s.zarr", "--batch", "1")


@pytest.fixture(autouse=True)
def pipelines(world: Path) -> None:
    """A pipeline of two stages."""
    (world / "pipelines.toml").write_text(PIPELINE)


def stages(imgtool: Imgtool, *arguments: str) -> dict[str, dict[str, Any]]:
    """Label to stage of the plan of a command."""
    answer = imgtool(*COMMAND, *arguments, "--plan", "--json")
    assert answer.status == 0, answer.err
    return {item["label"]: item for item in json.loads(answer.out)["stages"]}


def test_a_first_run_has_everything_missing(imgtool: Imgtool, world: Path) -> None:
    planned = stages(imgtool, "a", "b")

    assert (planned["upper.toy"]["missing_batches"], planned["upper.toy"]["done"]) == (2, 0)
    assert planned["upper.toy"]["reason"] == "not run before"
    assert planned["draw"]["reason"] == "follows upper.toy"
    assert not (world / "s.zarr").exists()


def test_a_finished_run_has_nothing_missing(imgtool: Imgtool) -> None:
    imgtool(*COMMAND, "a", "b")

    planned = stages(imgtool, "a", "b")

    assert {item["reason"] for item in planned.values()} == {"done"}
    assert all(item["missing_batches"] == 0 for item in planned.values())


def test_a_changed_parameter_is_named_with_both_values(imgtool: Imgtool) -> None:
    imgtool(*COMMAND, "a")

    planned = stages(imgtool, "a", "--set", "draw.size=4")

    assert planned["upper.toy"]["reason"] == "done"
    assert planned["draw"]["reason"] == "size: 8 → 4"


def test_a_plan_does_not_need_what_another_run_left_damaged(imgtool: Imgtool, world: Path) -> None:
    imgtool(*COMMAND, "a")
    next((world / "s.zarr").glob("draw-*/zarr.json")).write_text("{}")

    assert stages(imgtool, "a", "--set", "draw.size=4")["draw"]["reason"] == "not run before"


def test_rows_added_at_the_end_leave_the_batches_before(imgtool: Imgtool) -> None:
    imgtool(*COMMAND, "a", "b")

    planned = stages(imgtool, "a", "b", "c")

    assert planned["upper.toy"]["reason"] == "1 of 3 batches are missing"
    assert planned["upper.toy"]["done"] == 2


def test_time_is_estimated_from_earlier_runs(imgtool: Imgtool) -> None:
    assert stages(imgtool, "a")["upper.toy"]["est_seconds"] is None
    imgtool(*COMMAND, "a", "--set", "upper.toy.pause_s=0.1")

    planned = stages(imgtool, "a", "b", "c", "d", "--set", "upper.toy.pause_s=0.2")

    assert planned["upper.toy"]["est_seconds"] >= 0.4


def test_a_plan_for_one_row_is_of_that_row_alone(imgtool: Imgtool) -> None:
    planned = stages(imgtool, "a", "b", "c", "--row", "1.2")

    assert (planned["upper.toy"]["rows"], planned["upper.toy"]["missing_batches"]) == (1, 1)


def test_batches_with_failed_rows_are_missing_where_they_are_tried_again(
    imgtool: Imgtool, world: Path
) -> None:
    stages_of_two = '[[two.stage]]\nuse = "draw"\n[[two.stage]]\nuse = "score.red"\n'
    (world / "pipelines.toml").write_text(f"[two]\n{stages_of_two}")
    assert imgtool(*COMMAND, "a", "fail").status == 1

    planned = stages(imgtool, "a", "fail", "--retry-failed")

    assert (planned["draw"]["missing_batches"], planned["draw"]["done"]) == (1, 1)
    assert planned["draw"]["reason"] == "rows failed before"
    assert (planned["score.red"]["missing_batches"], planned["score.red"]["done"]) == (1, 1)
    assert planned["score.red"]["reason"] == "follows draw"
