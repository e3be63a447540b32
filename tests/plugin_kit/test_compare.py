"""Results are the same where numbers differ by rounding, wherever they stand."""

from __future__ import annotations

from typing import Any

import pytest

from imgtool.api import Batch
from imgtool.plugin_kit.compare import difference

TRACE = {"by": "score.a", "tried": [{"kept": True, "score.a": 0.5}, {"kept": False}]}


def how(other: Any, exact: bool = False) -> str:
    one, two = (Batch(("0",), {"search": [value]}) for value in (TRACE, other))
    return difference(one, two, ["search"], exact)


def test_records_are_compared_to_the_tolerance_of_their_numbers() -> None:
    near = {"by": "score.a", "tried": [{"kept": True, "score.a": 0.5000001}, {"kept": False}]}
    assert how(near) == ""
    assert how(TRACE, exact=True) == ""
    assert "0.5000001" in how(near, exact=True)


@pytest.mark.parametrize(
    "other",
    [
        {"by": "score.b", "tried": TRACE["tried"]},
        {"by": "score.a", "tried": [{"kept": True, "score.a": 0.6}, {"kept": False}]},
        {"by": "score.a", "tried": [{"kept": True, "score.a": 0.5}, {"kept": True}]},
        {"by": "score.a", "tried": [{"kept": True, "score.a": 0.5}]},
        {"by": "score.a"},
        None,
    ],
)
def test_what_differs_by_more_is_told(other: Any) -> None:
    assert how(other)
