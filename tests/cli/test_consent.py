"""Nothing may be fetched unless the command names a model that is neither alias nor on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from imgtool.cli.consent import may_download
from imgtool.components import Component
from imgtool.pipeline import StageUse
from imgtool.specs import ParamSpec, Spec

if TYPE_CHECKING:
    from pathlib import Path

MODEL = ParamSpec("model", "str", "pebble", model_task="toy")
LORAS = ParamSpec("loras", "list[str]", [], model_task="lora")
SPEC = Spec("stage", "draw.toy", 1, "", "row", (), (), (MODEL, LORAS), "toy", "toy:Draw")


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

    found = may_download([StageUse("draw.toy", params=params)], OneStage())  # type: ignore[arg-type]

    assert found is allowed
