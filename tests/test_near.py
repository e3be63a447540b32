"""The name that an error suggests."""

from __future__ import annotations

import pytest

from imgtool.errors import near

KNOWN = ("tabletop", "tabletop/turbo", "tabletop/lora-shiny", "score.clip", "score.tit")


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("tabeltop", "tabletop"),
        ("tabletop/trubo", "tabletop/turbo"),
        ("tabeltop/turbo", "tabletop/turbo"),
        ("score.clpi", "score.clip"),
        ("tabletop/nothing", ""),
        ("score.aesthetic", ""),
        ("", ""),
    ],
)
def test_a_family_that_is_right_is_no_likeness(name: str, suggested: str) -> None:
    assert near(name, KNOWN) == (f"did you mean {suggested!r}? " if suggested else "")
