"""Every shipped model says what it is: a card with all its parts, a line in `imgtool models`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from imgtool.cli.root import root
from imgtool.runtime.model_facts import model_facts
from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.plugin import imgtool_components
from imgtool_tabletop.training.card import card_text
from imgtool_tabletop.training.shipped import SHIPPED

if TYPE_CHECKING:
    from imgtool.api import Component

MODELS = {item.name: item for item in imgtool_components() if item.kind == "model"}
PARTS = ("**Data.**", "**Recipe.**", " hours ", "**Limits.**", "| figure | value | aim |")


@pytest.mark.parametrize("alias", MODELS.values(), ids=MODELS)
def test_a_shipped_model_has_a_card_with_all_parts(alias: Component) -> None:
    facts = model_facts(alias)

    assert f"\n# {alias.name}\n" in facts.card
    assert [part for part in PARTS if part not in facts.card] == []
    assert "CPU" in facts.card or "GPU" in facts.card or "NVIDIA" in facts.card
    assert all(f"| {name} | {value:g} |" in facts.card for name, value in facts.figures.items())


@pytest.mark.parametrize("alias", MODELS.values(), ids=MODELS)
def test_a_shipped_model_says_how_good_it_is(alias: Component) -> None:
    facts = model_facts(alias)

    assert facts.quality
    assert (facts.licence, facts.resolution) == ("Apache-2.0", "64x64")
    assert facts.bytes


@pytest.mark.parametrize("folder", SHIPPED)
def test_a_card_is_what_is_recorded(folder: str) -> None:
    assert (WEIGHTS / folder / "README.md").read_text(encoding="utf-8") == card_text(
        *SHIPPED[folder]
    )


def test_models_are_listed_in_a_hundred_columns_and_each_shows_its_card() -> None:
    run = CliRunner()

    listed = run.invoke(root, ["models"], catch_exceptions=False).output
    card = run.invoke(root, ["models", "tabletop/judge"], catch_exceptions=False).output
    (line,) = run.invoke(root, ["models", "tabletop/judge", "--json"]).output.splitlines()

    assert MODELS.keys() <= {line.split()[0] for line in listed.splitlines()}
    assert max(map(len, listed.splitlines())) <= 100
    assert card == json.loads(line)["card"] == (WEIGHTS / "judge" / "README.md").read_text("utf-8")
