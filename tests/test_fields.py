"""Field declarations, and those that stand for several columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgtool.engine.plan import providers, resolve_instances
from imgtool.errors import MissingField
from imgtool.fields import PROMPT, is_among, is_named, score
from imgtool.pipeline import StageUse
from imgtool.registry import Registry
from imgtool.runtime.context import Runtime

if TYPE_CHECKING:
    from pathlib import Path

SCORERS = """
from dataclasses import dataclass
from typing import Annotated
from imgtool.api import PROMPT, Field, FieldRef, Help, Kind, Stage, score

class Any(Stage[None]):
    id, summary = "score.any", "Give the scores that parameters name."
    consumes, produces = (PROMPT,), (score("*"),)

class Needs(Stage[None]):
    id, summary = "needs.red", "Need one score."
    consumes = (score("red"),)

class Blurs(Stage[None]):
    id, summary = "needs.blur", "Need what is no score."
    consumes = (Field("blur", Kind.NUMBER),)

@dataclass(frozen=True)
class By:
    by: Annotated[str, Help("Field to rank by."), FieldRef()] = "seed"

class Ranks(Stage[By]):
    id, summary = "rank.any", "Rank by a field."

class Arrays(Stage[None]):
    id, summary = "arrays.any", "Give arrays of any name."
    produces = (Field("map.*", Kind.ARRAY, ("H", "W")),)
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Stages that give any score, and that need one."""
    monkeypatch.setenv("IMGTOOL_PLUGINS", "none")
    (tmp_path / "scorers.py").write_text(SCORERS)
    return Registry.load([str(tmp_path / "scorers.py")])


def test_a_star_after_a_dot_stands_for_every_name_with_that_beginning() -> None:
    assert is_named("score.red", [PROMPT, score("*")])
    assert is_named("prompt", [PROMPT, score("*")])
    assert not is_named("scored", [PROMPT, score("*")])
    assert not is_among("score.red", ["score.blue", "*"])


def test_a_stage_may_need_one_of_the_scores_that_another_gives(registry: Registry) -> None:
    def planned(*names: str) -> list[str]:
        uses = [StageUse(use=name, label=name) for name in names]
        made = resolve_instances(uses, ["prompt"], "source", registry, Runtime(registry=registry))
        return [instance.spec.id for instance in made]

    assert planned("score.any", "needs.red") == ["score.any", "needs.red"]
    assert providers(registry, "score.red") == ["score.any"]
    with pytest.raises(MissingField, match=r"'score\.red'"):
        planned("needs.red")
    with pytest.raises(MissingField, match="blur"):
        planned("score.any", "needs.blur")


def test_a_field_that_a_parameter_names_must_be_there(registry: Registry) -> None:
    def planned(by: object, *before: str, stage: str = "select.best") -> None:
        uses = [StageUse(use=name, label=name) for name in before]
        uses.append(StageUse(use=stage, label=stage, params={"by": by}))
        rows = ["prompt", "seed", "score.red"]
        resolve_instances(uses, rows, "source", registry, Runtime(registry=registry))

    planned("score.red", stage="rank.any")
    planned("score.red")
    planned(["seed", "score.red"], stage="select.pareto")
    planned("score.blue", "score.any")
    planned("", stage="select.diverse")
    with pytest.raises(MissingField, match=r"by = 'score\.rde' is no field here") as refused:
        planned("score.rde", stage="rank.any")
    assert refused.value.hint == "did you mean 'score.red'?"
    with pytest.raises(MissingField, match=r"rows have prompt, score\.red, seed"):
        planned(["seed", "blue"], stage="select.pareto")


def test_arrays_have_names_of_their_own(registry: Registry) -> None:
    (problem,) = [item for item in registry.problems if item.name == "arrays.any"]

    assert "produces arrays of any name" in problem.reason
