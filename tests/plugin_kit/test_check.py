"""`imgtool plugin check`: red on stages that are broken on purpose, green on our own.

Each file in `broken/` breaks one rule. It is checked in this process, up to the first rule that
fails: what comes before must be kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imgtool.plugin_kit.check import ON_DECLARATION, ON_RESULTS, Finding, State, check_plugin
from imgtool.registry import Registry
from imgtool.spec_cache import file_plugin

if TYPE_CHECKING:
    from conftest import Imgtool

BROKEN = Path(__file__).parent / "broken"
REASONS = {
    "loads": ("loads", "KeyError: 'sepia'"),
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


def first_failure(name: str, registry: Registry) -> Finding:
    plugin = file_plugin(str(BROKEN / f"{name}.py"))
    stages = [spec for spec in registry.specs("stage") if spec.dist == plugin.dist]
    found = check_plugin(plugin, registry, stages, {})
    return next(finding for finding in found if finding.state is State.FAILED)


@pytest.mark.parametrize("name", REASONS)
def test_a_broken_stage_fails_by_the_rule_that_it_breaks(name: str, registry: Registry) -> None:
    rule, reason = REASONS[name]
    found = first_failure(name, registry)

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
    assert rows["resume"]["state"] == "not applicable"
    assert {row["schema"] for row in rows.values()} == {"imgtool.check/1"}


def test_imgtools_own_stages_keep_every_rule(imgtool: Imgtool) -> None:
    answer = imgtool("plugin", "check", "imgtool")

    assert answer.status == 0, answer.out + answer.err
    assert answer.err == "every rule is kept\n"


@pytest.mark.parametrize("plugin", ["imgtool-rewrite", "imgtool-tabletop", "imgtool-generate"])
def test_a_first_party_plugin_keeps_every_rule(imgtool: Imgtool, plugin: str) -> None:
    answer = imgtool(
        "plugin", "check", plugin, env={"IMGTOOL_PLUGINS": f"{plugin},imgtool-tabletop"}
    )

    assert answer.status == 0, answer.out + answer.err


def test_one_stage_is_checked_with_parameters_that_are_given(imgtool: Imgtool) -> None:
    where = ("plugin", "check", "imgtool", "--stage", "select.where")
    answer = imgtool(*where, "--set", "select.where.condition=no_such > 1")

    assert answer.status == 1
    assert "no_such" in answer.out
    assert not any(line.startswith("image.read") for line in answer.lines)


def test_a_name_that_is_none_is_one_line_and_a_hint(imgtool: Imgtool) -> None:
    wrong = {
        ("imgtol",): "no plugin in use is called 'imgtol'",
        ("imgtool", "--stage", "selekt.best"): "imgtool has no stage 'selekt.best'",
        ("imgtool", "--set", "by=1"): "--set takes LABEL.KEY=VALUE, not 'by=1'",
    }
    for arguments, reason in wrong.items():
        answer = imgtool("plugin", "check", *arguments)
        assert answer.status == 2
        assert reason in answer.err
        assert len(answer.err.splitlines()) == 2
