"""Rewards of ShortCoTI by the published numbers, lengths of plans, and which plans will do."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool_rewrite.shortcot import plans
from imgtool_rewrite.shortcot.lengths import cut, word_count
from imgtool_rewrite.shortcot.rewards import (
    Penalty,
    best_of,
    ease,
    scaled_to_one,
    short_coti,
    target_length,
)
from imgtool_rewrite.spans import protect

if TYPE_CHECKING:
    from collections.abc import Sequence

REWARDS, LENGTHS = (1.0, 0.8, 0.8, 0.2), (40, 90, 60, 120)
UNITS = st.floats(0, 1)


def advantages(values: Sequence[float | None]) -> list[float]:
    """As GRPO takes them: within the group, by the sample's deviation."""
    there = [value for value in values if value is not None]
    mean, spread = statistics.fmean(there), statistics.stdev(there)
    return [(value - mean) / (spread + 1e-4) for value in there]


def test_target_length_costs_what_is_over_the_target() -> None:
    made = target_length(REWARDS, LENGTHS, Penalty())
    assert made == pytest.approx([1, 0.72, 0.78, 0.06])
    assert advantages(made) == pytest.approx([0.888737, 0.197497, 0.345620, -1.431854], abs=1e-6)


def test_short_coti_costs_more_the_easier_the_prompt() -> None:
    made = short_coti(REWARDS, LENGTHS, Penalty())
    assert ease(REWARDS) == pytest.approx(0.7)
    assert made == pytest.approx([1, 0.744, 0.786, 0.102])
    assert advantages(made) == pytest.approx([0.882930, 0.222023, 0.330453, -1.435407], abs=1e-6)
    hard = short_coti(REWARDS, LENGTHS, Penalty(), [0.1] * 4)
    assert hard == pytest.approx([1, 0.792, 0.798, 0.186])


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [(10.0, (0.95, -0.32, 0.63, -1.26)), (0.1, (0.95, -0.32, 0.63, -1.26)),
     (0.001, (0.81, -0.27, 0.54, -1.08))],
)  # fmt: skip
def test_a_group_of_equal_rewards_forgets_how_large_alpha_is(
    alpha: float, expected: tuple[float, ...]
) -> None:
    made = short_coti([0.9] * 4, LENGTHS, Penalty(alpha))
    assert advantages(made) == pytest.approx(expected, abs=6e-3)


def test_no_alpha_leaves_rewards_bit_for_bit_and_missing_ones_missing() -> None:
    rewards = [0.1, None, 0.7]
    for rule in (target_length, short_coti):
        assert rule(rewards, LENGTHS[:3], Penalty(0.0)) == rewards
    assert short_coti([1.0, None], [100, 100], Penalty())[0] == pytest.approx(0.9)


def test_gate_spares_samples_that_did_not_succeed() -> None:
    made = short_coti([0.9, 0.1], [100, 100], Penalty(gate=0.5))
    assert made == [pytest.approx(0.85), 0.1]


def test_ease_has_a_floor_where_one_is_asked_for() -> None:
    assert short_coti([0.0], [100], Penalty())[0] == 0.0
    assert short_coti([0.0], [100], Penalty(least_ease=0.5))[0] == pytest.approx(-0.05)


@given(UNITS, UNITS, st.integers(0, 300), st.integers(0, 300))
def test_longer_never_pays_and_easier_never_costs_less(
    one: float, two: float, short: int, long: int
) -> None:
    short, long = sorted((short, long))
    for shape in ("over", "linear"):
        penalty = replace(Penalty(), shape=shape)
        values = short_coti([0.5, 0.5], [short, long], penalty, [one, two])
        assert values[0] >= values[1]  # type: ignore[operator]
        hard, easy = (
            short_coti([0.5], [long], penalty, [normal])[0] for normal in sorted((one, two))
        )
        assert hard >= easy  # type: ignore[operator]


def test_of_values_that_are_near_the_shortest_wins_and_missing_ones_never() -> None:
    assert best_of([None, 0.80, 0.798, 0.5], [0, 9, 4, 1], 0.005) == 2
    assert best_of([None, 0.80, 0.798, 0.5], [0, 9, 4, 1], 0.001) == 1
    assert best_of([0.5, 0.5], [3, 3], 0.0) == 0
    assert best_of([None, None], [1, 2], 1.0) is None


def test_scores_are_scaled_by_their_range() -> None:
    assert [scaled_to_one(value, -1, 3) for value in (-2, 0, 3)] == [0.0, 0.25, 1.0]


def test_cut_ends_with_a_sentence_where_one_ends_in_time() -> None:
    text = "A red cube. It is 2.5 cm wide! Behind it, a cone"
    assert cut(text, 7) == "A red cube."
    assert cut(text, 8) == "A red cube. It is 2.5 cm wide!"
    assert cut(text, 2) == "A red"
    assert cut("赤い立方体。青い球。", 6) == "赤い立方体。"
    assert cut(text, 0) == ""


@given(st.text(st.sampled_from("ab1 .!?'立。\n"), max_size=60), st.integers(0, 20))
def test_cut_is_never_longer_keeps_the_beginning_and_is_done_once(text: str, most: int) -> None:
    short = cut(text, most)
    assert word_count(short) <= most
    assert text.startswith(short)
    assert cut(short, most) == short


PROMPT = "two red cubes near Paris, (soft light:1.2)"


@pytest.mark.parametrize(
    ("answer", "form", "why"),
    [
        ("  ", "source-plan", "empty"),
        ("Two red cubes near Paris.", "source-plan", "the prompt"),
        ("red cubes near " * 9, "source-plan", "repeats"),
        ("two cubes, both red, near Paris", "plan", "lost '(soft light:1.2)'"),
        ("cubes, red, near Paris, ⟦1⟧", "plan", "lost '2'"),
        ("two cubes, both red, near Paris, ⟦1⟧", "plan", ""),
        ("```\ntwo cubes, both red, near Paris ⟦1⟧\n```", "source-plan", ""),
    ],
)
def test_plans_that_say_nothing_new_or_lose_something_are_dropped(
    answer: str, form: plans.Form, why: str
) -> None:
    plan = plans.read_plan(answer, protect(PROMPT), form)
    assert why in plan.why_not
    assert bool(why) == bool(plan.why_not)
    assert ("⟦1⟧" in plan.text) == ("⟦1⟧" in answer and form == "plan")


def test_content_words_that_a_plan_lacks_are_told_in_either_number() -> None:
    plan = plans.read_plan("a cube on a table", protect("the red cubes and boxes"), "source-plan")
    assert plan.missing == ("red", "boxes")
    plan = plans.read_plan("a red cube, one box", protect("red cubes, boxes"), "source-plan")
    assert plan.missing == ()


def test_opaque_parts_are_in_the_prompt_once_in_either_form() -> None:
    hidden = protect(PROMPT)
    whole = plans.prompt_of(hidden, "Two cubes, both red.", "source-plan")
    assert whole == f"{PROMPT}. Two cubes, both red."
    alone = plans.prompt_of(hidden, "⟦1⟧ on two red cubes", "plan")
    assert alone == "(soft light:1.2) on two red cubes"
