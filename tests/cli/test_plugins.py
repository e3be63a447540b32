"""`imgtool plugin`: what is listed, and that a disabled plugin is left out until enabled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Imgtool


def test_plugins_are_listed_with_what_they_bring(imgtool: Imgtool) -> None:
    rows = [json.loads(line) for line in imgtool("plugin", "list", "--json").lines]

    (toy,) = [row for row in rows if row["plugin"] == "toy-stages"]
    assert toy["state"] == "ok"
    assert "draw.toy" in toy["brings"].split()


def test_a_disabled_plugin_is_left_out_until_it_is_enabled(imgtool: Imgtool) -> None:
    assert imgtool("plugin", "disable", "toy-stages").status == 0
    without = imgtool("upper", "a", "--json")
    assert imgtool("plugin", "enable", "toy-stages").status == 0
    with_it = imgtool("upper", "a", "--json")

    assert (without.status, with_it.status) == (2, 0)


def test_an_unknown_plugin_gets_a_near_match(imgtool: Imgtool) -> None:
    answer = imgtool("plugin", "disable", "toy-stage")

    assert answer.status == 2
    assert "did you mean 'toy-stages'" in answer.err
