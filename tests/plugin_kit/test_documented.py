"""Every hook and public name has its entry in the reference and a test that uses it."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imgtool import api, hookspecs
from imgtool.api import (
    COC,
    DEPTH,
    DEPTH_KIND,
    MASK,
    NEGATIVE_PROMPT,
    PROMPT_EMBEDS,
    SOURCE_PROMPT,
    Batch,
    Scope,
    Stage,
    cache_dir,
    concatenate,
)

if TYPE_CHECKING:
    from conftest import Imgtool

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference" / "hooks.md").read_text()
HOOKS = [name for name in vars(hookspecs) if name.startswith("imgtool_")]
# test_api.py lists the names; below, those count that a test of this file uses.
LISTS = ("test_api.py", Path(__file__).name)
USED_HERE = re.split(r"^# used below$", Path(__file__).read_text(), flags=re.MULTILINE)[-1]
TESTS = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/tests/*.py")]
USES = "\n".join([USED_HERE, *(file.read_text() for file in TESTS if file.name not in LISTS)])


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_documented_with_its_arguments(name: str) -> None:
    arguments = ", ".join(
        f"{p.name}: {p.annotation}"
        for p in inspect.signature(getattr(hookspecs, name)).parameters.values()
    )
    assert f"## `{name}({arguments}) -> " in REFERENCE


@pytest.mark.parametrize("name", api.__all__)
def test_a_public_name_is_documented_with_its_parameters(name: str) -> None:
    (heading,) = re.findall(rf"^## `{name}\b(.*)`$", REFERENCE, flags=re.MULTILINE)
    value = getattr(api, name)
    if inspect.isfunction(value):
        assert all(parameter in heading for parameter in inspect.signature(value).parameters)


@pytest.mark.parametrize("name", [*api.__all__, *HOOKS])
def test_a_public_name_is_used_by_a_test(name: str) -> None:
    assert re.search(rf"\b{name}\b", USES)


# used below

EVENTS = """
import os
from imgtool.api import PROMPT, Component, RowError, Stage, hookimpl

class Picky(Stage[None]):
    id, summary = "picky.toy", "Refuse dogs."
    consumes, produces = (PROMPT,), (PROMPT,)

    def process(self, batch):
        for row in batch:
            if row["prompt"] == "a dog":
                raise RowError(row.id, "it is a dog")
        return batch

def note(text):
    with open("events.txt", "a") as file:
        file.write(text + "\\n")

@hookimpl
def imgtool_components():
    yield Component("stage", "picky.toy", f"{__name__}:Picky")

@hookimpl
def imgtool_run_started(run):
    note(f"started {run.stages[0].stage}")

@hookimpl
def imgtool_stage_opened(stage):
    note(f"opened {stage.label}")

@hookimpl
def imgtool_batch_done(batch):
    note(f"done {batch.label} {batch.rows} {batch.failed}")

@hookimpl
def imgtool_row_failed(stage, row_id, failure):
    note(f"failed {row_id} {failure.reason}")
    raise ValueError("an observer must not stop the run")

@hookimpl
def imgtool_run_finished(run):
    note(f"finished {run.status} {run.failed}")
"""


def test_every_event_of_a_run_reaches_a_plugin(imgtool: Imgtool, world: Path) -> None:
    (world / "picky.py").write_text(EVENTS)
    (world / "prompts.txt").write_text("a cat\na dog\n")
    answer = imgtool("--plugin", "./picky.py", "picky.toy", "prompts.txt", "--json")
    told = (world / "events.txt").read_text().splitlines()

    assert answer.status == 1
    assert [json.loads(line).get("prompt") for line in answer.lines] == ["a cat", None]
    assert told[0].startswith("started")
    assert told[-1] == "finished 1 1"
    assert [line for line in told if line.startswith("failed")] == ["failed 1 it is a dog"]
    assert {line.split()[0] for line in told} == {"started", "opened", "done", "failed", "finished"}


def test_known_fields_have_the_shapes_that_stages_rely_on() -> None:
    pictures = {field.name: field.dims for field in (COC, DEPTH, MASK)}
    texts = [field.name for field in (DEPTH_KIND, NEGATIVE_PROMPT, SOURCE_PROMPT)]

    assert pictures == {name: ("H", "W") for name in ("coc", "depth", "mask")}
    assert PROMPT_EMBEDS.dims == ("T", "D")
    assert texts == ["depth_kind", "negative_prompt", "source_prompt"]


def test_concatenated_batches_keep_their_rows_and_miss_what_one_lacks() -> None:
    both = concatenate([Batch(("0",), {"a": [1]}), Batch(("1", "2"), {"b": [2, 3]})])

    assert both.ids == ("0", "1", "2")
    assert list(both["a"]) == [1, None, None]
    assert list(both["b"]) == [None, 2, 3]


def test_a_scope_may_be_given_as_its_member() -> None:
    class Family(Stage[None]):
        scope = Scope.SIBLINGS

    assert Family.scope == "siblings"
    assert {str(scope) for scope in Scope} == {"row", "siblings", "run"}


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGTOOL_CACHE", str(tmp_path / "mine"))

    assert cache_dir() == tmp_path / "mine"
