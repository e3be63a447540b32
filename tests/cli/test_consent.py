"""Nothing may be fetched unless the command names a model that is neither alias nor on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from imgtool.cli.consent import may_download
from imgtool.cli.recipes import _refuse_risks
from imgtool.components import Component
from imgtool.errors import NeedsConsent
from imgtool.pipeline import MakerUse, StageUse
from imgtool.specs import ParamSpec, Spec

if TYPE_CHECKING:
    from pathlib import Path

MODEL = ParamSpec("model", "str", "pebble", model_task="toy")
LORAS = ParamSpec("loras", "list[str]", [], model_task="lora")
JUDGE = ParamSpec("judge", "str", "", is_stage=True)
ENDPOINT = ParamSpec("endpoint", "str", "")
SPEC = Spec(
    "stage", "draw.toy", 1, "", "row", (), (), (MODEL, LORAS, JUDGE, ENDPOINT), "toy", "toy:Draw"
)


@dataclass(frozen=True)
class OneStage:
    """As much of a registry as is asked."""

    def components(self, kind: str) -> list[Component]:
        """One alias."""
        return [Component("model", "pebble", "toy:weights")] if kind == "model" else []

    def spec(self, kind: str, name: str) -> Spec:
        """The one stage."""
        return SPEC


@pytest.mark.parametrize(
    ("params", "allowed"),
    [
        ({}, False),
        ({"model": "pebble"}, False),
        ({"model": "@slim"}, False),
        ({"model": "here"}, False),
        ({"loras": ["here:0.5"]}, False),
        ({"model": "someone/model"}, True),
        ({"loras": ["here", "someone/lora:0.5"]}, True),
    ],
)
def test_only_a_model_from_elsewhere_may_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, object], allowed: bool
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)

    for use in (StageUse("draw.toy", params=params), MakerUse("slim", "draw.toy", params)):
        assert may_download([use], OneStage()) is allowed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("judge", "what"),
    [
        ("draw.toy:endpoint=http://elsewhere", "calls an endpoint"),
        ("draw.toy:judge=draw.toy:model=./here", "loads a model"),
    ],
)
def test_a_recipe_calls_no_endpoint_through_a_stage_that_a_parameter_names(
    judge: str, what: str
) -> None:
    params = {"model": "pebble", "loras": [], "judge": judge, "endpoint": ""}
    with pytest.raises(NeedsConsent, match=what):
        _refuse_risks(SPEC, params, OneStage())  # type: ignore[arg-type]
    _refuse_risks(SPEC, {**params, "judge": "draw.toy:model=pebble"}, OneStage())  # type: ignore[arg-type]
