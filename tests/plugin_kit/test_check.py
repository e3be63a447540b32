"""`imgtool plugin check`: red on stages that are broken on purpose, green on our own.

Each file in `broken/` breaks one rule. It is checked in this process, up to the first rule that
fails: what comes before must be kept.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imgtool.plugin_kit.check import (
    ON_DECLARATION,
    ON_RESULTS,
    Finding,
    State,
    check_plugin,
    summary,
)
from imgtool.plugin_kit.processes import Processes
from imgtool.registry import Registry
from imgtool.spec_cache import discover, file_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Imgtool

BROKEN = Path(__file__).parent / "broken"
PLUGINS = Path(__file__).parents[2] / "plugins"
REASONS = {
    "loads": ("loads", f"KeyError: 'sepia' ({BROKEN / 'loads.py'}:11)"),
    "import": ("import", "loads numpy"),
    "declares": ("declares", "declares 'image' otherwise than imgtool.api does"),
    "help": ("help", "no help for loud"),
    "params": ("params", "case = 'no-such((value' ends in KeyError"),
    "runs": ("runs", "process gives NoneType, not a Batch"),
    "fields": ("fields", "'image' of row '0' has shape [24, 36], not H × W × RGB"),
    "undeclared": ("fields", "gives 'words', which produces does not name"),
    "lineage": ("lineage", "row 'new0' comes of 'new0', which it was not given"),
    "inputs": ("inputs", "changes 'image' of the batch that it was given"),
    "scores": ("scores", "'score.colours' of row '2' is nan"),
    "seed": ("seed", "the same rows give another result the second time"),
    "elsewhere": ("seed", "the same rows give another result in another process"),
    "batch": ("batch", "a row alone gives another result than in a batch"),
    "exact": ("exact", "with --deterministic, a row alone gives other bytes than in a batch"),
    "mates": ("mates", "the result depends on the rows beside it"),
    "resume": ("resume", "after a kill, the run ends with other bytes in "),
}


@pytest.fixture
def registry(world: Path) -> Registry:
    """Every broken file as a plugin; their specs are computed side by side, once."""
    return Registry.load([str(BROKEN / f"{name}.py") for name in REASONS])


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """Processes for stages without torch, whatever other tests have imported here."""
    with Processes(libraries=("numpy", "pydantic", "zarr")) as processes:
        yield processes


def first_failure(name: str, registry: Registry, processes: Processes) -> Finding:
    plugin = file_plugin(str(BROKEN / f"{name}.py"))
    stages = [spec for spec in registry.specs("stage") if spec.dist == plugin.dist]
    found = check_plugin(plugin, registry, stages, {}, processes)
    return next(finding for finding in found if finding.state is State.FAILED)


@pytest.mark.parametrize("name", REASONS)
def test_a_broken_stage_fails_by_the_rule_that_it_breaks(
    name: str, registry: Registry, processes: Processes
) -> None:
    rule, reason = REASONS[name]
    found = first_failure(name, registry, processes)

    assert found.check == rule, found
    assert reason in found.reason
    assert found.hint


def test_every_rule_has_a_stage_that_breaks_it() -> None:
    rules = {"loads", "import", "runs", *ON_DECLARATION, *ON_RESULTS}

    assert {rule for rule, _ in REASONS.values()} == rules
    assert {file.stem for file in BROKEN.glob("*.py")} == set(REASONS)


def test_a_broken_stage_is_a_red_line_and_status_1(imgtool: Imgtool) -> None:
    answer = imgtool("plugin", "check", str(BROKEN / "help.py"))
    (line,) = [line for line in answer.lines if " failed " in line]

    assert answer.status == 1
    assert line.split()[:3] == ["broken.help", "help", "failed"]
    assert 'no help for loud; write loud: Annotated[TYPE, Help("What it sets.")]' in line
    assert answer.err == "1 failed\n"


def test_findings_are_json_lines(imgtool: Imgtool) -> None:
    answer = imgtool("plugin", "check", str(BROKEN / "runs.py"), "--json")
    rows = {row["check"]: row for row in map(json.loads, answer.lines)}

    assert rows["runs"]["state"] == "failed"
    assert rows["runs"]["hint"] == "return the batch"
    assert rows["resume"]["state"] == "not run"
    assert {row["schema"] for row in rows.values()} == {"imgtool.check/1"}


def test_imgtools_own_stages_keep_every_rule(imgtool: Imgtool) -> None:
    answer = imgtool("plugin", "check", "imgtool")

    assert answer.status == 0, answer.out + answer.err
    assert answer.err == "every rule is kept\n"


ALL = """
import sys
from imgtool.plugin_kit.check import check_plugin
from imgtool.plugin_kit.processes import Processes
from imgtool.registry import Registry

registry, names, only = Registry.load(), sys.argv[1].split(), sys.argv[2].split()
with Processes() as processes:
    for plugin in registry.plugins:
        stages = [spec for spec in registry.specs("stage") if spec.dist == plugin.dist]
        stages = [spec for spec in stages if not only or spec.id in only]
        if plugin.dist in names:
            for found in check_plugin(plugin, registry, stages, {}, processes):
                print(plugin.dist, found.subject, found.check, found.state, found.reason, sep="|")
"""


# One of each kind, and of those whose weights are not known beforehand; all if slow.
QUICK = "generate.diffusers rewrite.template score.iqa score.hps"


@pytest.mark.parametrize(
    "only", [QUICK, pytest.param("", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_stages_of_our_plugins_keep_every_rule_and_none_is_left_out(
    world: Path, warm_bin: Path, only: str
) -> None:
    names = [file.parent.name for file in PLUGINS.glob("*/pyproject.toml")]
    done = subprocess.run(
        [warm_bin / "python", "-c", ALL, " ".join(names), only],
        capture_output=True,
        text=True,
        env={**os.environ, "IMGTOOL_PLUGINS": ",".join(names)},
        check=False,
    )
    found = [line.split("|", 4) for line in done.stdout.splitlines()]

    assert done.returncode == 0, done.stderr
    assert {dist for dist, *_ in found} == set(names)
    assert [line for line in found if line[3] in (State.FAILED, State.NOT_RUN)] == []
    assert {subject for _, subject, check, *_ in found if check == "resume"} >= {*QUICK.split()}


def test_a_failing_import_is_named_by_file_and_line(
    make_plugin: Callable[[str, dict[str, str]], Path],
) -> None:
    hook = (
        "from imgtool.api import Component, hookimpl\n@hookimpl\ndef imgtool_components():\n"
        "    yield Component('stage', 'deep.toy', 'deep_plugin.stage:Toy')\n"
    )
    root = make_plugin(
        "deep-plugin",
        {"plugin.py": hook, "stage.py": "\nimport deep_plugin.maths\n",
         "maths.py": "\n\nimport no_such_thing\n"},
    )  # fmt: skip
    plugin = next(item for item in discover() if item.dist == "deep-plugin")
    with Processes(libraries=()) as processes:
        found = next(check_plugin(plugin, Registry.load(), [], {}, processes))

    assert (found.check, found.subject) == ("loads", "deep.toy")
    assert found.reason.endswith(f"No module named 'no_such_thing' ({root / 'maths.py'}:3)")


NEEDY = """
from dataclasses import dataclass
from typing import Annotated

from imgtool.api import PROMPT, Help, ModelRef, Stage

@dataclass(frozen=True)
class Params:
    model: Annotated[str, Help("Its weights."), ModelRef("toy")] = ""

class Needy(Stage[Params]):
    id, summary = "needy.toy", "Do nothing with a model."
    consumes, produces = (PROMPT,), (PROMPT,)

    def open(self, params, runtime):
        runtime.model(params.model, "toy")

    def process(self, batch):
        return batch
"""
MODELS = """
    @classmethod
    def check_models(cls, folder):
        file = folder / "toy.safetensors"
        head = b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
        file.write_bytes(len(head).to_bytes(8, "little") + head + bytes(1))
        return {"model": str(file)}
"""


def findings(file: Path, processes: Processes, **given: object) -> dict[str, Finding]:
    plugin, registry = file_plugin(str(file)), Registry.load([str(file)])
    stages = [spec for spec in registry.specs("stage") if spec.dist == plugin.dist]
    found = check_plugin(plugin, registry, stages, {"needy.toy": given}, processes)
    return {finding.check: finding for finding in found}


def test_a_stage_whose_model_is_nowhere_is_not_run_and_the_last_line_says_so(
    imgtool: Imgtool, world: Path
) -> None:
    (world / "needy.py").write_text(NEEDY)
    answer = imgtool("plugin", "check", "needy.py")
    (line,) = [line for line in answer.lines if " runs " in line]

    assert answer.status == 0
    assert "not run         no toy model is named; give its class check_models" in line
    assert answer.err == "no rule is broken, but 10 were not run: needy.toy\n"


def test_a_stage_is_tried_on_models_that_it_makes_unless_others_are_given(
    world: Path, processes: Processes
) -> None:
    (world / "needy.py").write_text(NEEDY + MODELS)

    kept = {State.OK, State.NOT_APPLICABLE}
    own, other = (
        findings(world / "needy.py", processes, **given) for given in ({}, {"model": "mine"})
    )
    assert {found.state for found in own.values()} == kept
    assert other["runs"].reason.startswith("no model 'mine'")


def test_the_summary_counts_what_failed_and_what_was_not_run() -> None:
    ok, failed = Finding("a", "help", State.OK), Finding("a", "runs", State.FAILED)
    not_run = [Finding(name, "seed", State.NOT_RUN) for name in ("b", "a", "b")]

    assert summary([ok]) == "every rule is kept"
    assert summary([ok, failed]) == "1 failed"
    assert summary([ok, *not_run]) == "no rule is broken, but 3 were not run: b, a"
    assert summary([failed, *not_run]) == "1 failed, 3 were not run: b, a"


def test_one_stage_is_checked_with_parameters_that_are_given(imgtool: Imgtool) -> None:
    where = ("plugin", "check", "imgtool", "--stage", "select.where")
    answer = imgtool(*where, "--set", "select.where.condition=no_such > 1")

    assert answer.status == 1
    assert "no_such" in answer.out
    assert not any(line.startswith("image.read") for line in answer.lines)


def test_a_name_that_is_none_is_one_line_and_a_hint(imgtool: Imgtool) -> None:
    Path("imgtool-new").mkdir()
    wrong = {
        ("imgtool-new",): "pip install -e imgtool-new puts a package to use",
        ("imgtol",): "no plugin in use is called 'imgtol'",
        ("imgtool", "--stage", "selekt.best"): "imgtool has no stage 'selekt.best'",
        ("imgtool", "--set", "by=1"): "--set takes LABEL.KEY=VALUE, not 'by=1'",
        ("imgtool", "--set", "select.best.k=0"): "'k' must be 1 or more, not 0",
    }
    for arguments, reason in wrong.items():
        answer = imgtool("plugin", "check", *arguments)
        assert answer.status == 2
        assert reason in answer.err
        assert len(answer.err.splitlines()) == 2
