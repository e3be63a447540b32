"""Formulas of GenPilot: belief over groups of prompts, and places in a prompt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from imgtool_rewrite.genpilot import belief, reading, roles, words
from imgtool_rewrite.genpilot.belief import Belief, kmeans, likelihood, matched, posterior, tfidf
from imgtool_rewrite.genpilot.search import Look, Search, Try


def test_belief_is_the_prior_times_the_mean_score() -> None:
    held = posterior([0.2] * 5, likelihood([9, 10, 11, 12, 13], range(5), 5))
    assert [round(value, 4) for value in held] == [0.1636, 0.1818, 0.2, 0.2182, 0.2364]


def test_belief_is_uniform_where_nothing_is_likely_and_an_empty_group_gets_none() -> None:
    assert posterior([0.5, 0.5], likelihood([0, 0], [0, 1], 2)) == [0.5, 0.5]
    assert posterior([0.5, 0.5], likelihood([3, 5], [0, 0], 2)) == [1.0, 0.0]


def test_softmax_is_sharper_the_lower_its_temperature() -> None:
    sharp, mild = (posterior([0.5, 0.5], likelihood([9, 12], [0, 1], 2, tau)) for tau in (0.5, 5.0))
    assert sharp[1] > mild[1] > 0.5
    assert mild[1] == pytest.approx(1 / (1 + np.exp(-3 / 5)))


def test_texts_of_two_kinds_are_told_apart() -> None:
    texts = ["a red cube", "a red cube here", "green cones and rings", "rings and green cones"]
    assert kmeans(tfidf(texts), 2).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("texts", "groups"), [(["a b"] * 4, 1), (["a b", "c d"], 1)])
def test_equal_texts_and_few_of_them_are_one_group(texts: list[str], groups: int) -> None:
    assert len(set(kmeans(tfidf(texts), 3).tolist())) == groups


def test_scripts_without_spaces_are_told_apart_by_pieces() -> None:
    texts = ["赤い立方体", "赤い立方体と犬", "緑の円錐", "緑の円錐と輪"]
    assert kmeans(tfidf(texts), 2).tolist() == [0, 0, 1, 1]
    assert belief.tokens("赤い") == ["赤い"]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_groups_are_matched_so_that_the_sum_is_the_greatest(
    rows: int, columns: int, seed: int
) -> None:
    alike = np.random.default_rng(seed).random((rows, columns))
    pairs = matched(alike)
    best = alike[linear_sum_assignment(alike, maximize=True)].sum()
    assert sum(alike[pair] for pair in pairs.items()) == pytest.approx(best)
    assert len(pairs) == min(rows, columns) == len(set(pairs.values()))


def test_belief_goes_with_the_words_whatever_their_label_in_the_next_round() -> None:
    red, green = ["a red cube", "one red cube"], ["green cones and rings", "many green rings"]
    first = Belief(2)
    first.update([*red, *green], [15, 15, 3, 3])
    after = first.update([*green, *red], [9, 9, 9, 9])
    assert after.labels == [0, 0, 1, 1]
    assert after.best == 1 and after.posterior[1] == pytest.approx(15 / 18)
    alone = Belief(2, carry=False)
    alone.update([*red, *green], [15, 15, 3, 3])
    assert alone.update([*green, *red], [9, 9, 9, 9]).posterior == [0.5, 0.5]


def test_memory_is_the_newest_twenty_and_the_best_three_whenever_they_were_made() -> None:
    tries = [Try(0, f"words {at}", "", [looked(5 if at < 3 else 1)]) for at in range(40)]
    told = [one["sentence"] for one in Search.memory(tries)]
    assert told == [f"words {at}" for at in (0, 1, 2, *range(20, 40))]


def looked(mark: int) -> Look:
    return Look(0, None, (), dict.fromkeys(("attribute_binding", "object_relation"), mark), "")


@pytest.mark.parametrize(
    ("span", "found"),
    [
        ("a RED\n cube", "A red cube"),
        ("a red cubes stands.", "A red cube stands."),
        ("entirely different", ""),
        ("", ""),
        ("(", ""),
    ],
)
def test_blamed_words_are_found_in_the_prompt(span: str, found: str) -> None:
    assert words.place("A red cube stands. A dog.", span) == found


def test_statements_lose_their_bullets_and_are_twelve_at_most() -> None:
    lines = ["Objects:", "- a cube", "2) a cube", "* a dog", "1.5 m of rope"]
    assert words.statements(lines) == ["a cube", "a dog", "1.5 m of rope"]
    found = words.statements([f"thing {at}" for at in range(20)])
    assert len(found) == words.MOST_STATEMENTS
    assert " ".join(found) == " ".join(f"thing {at}" for at in range(20))


@pytest.mark.parametrize("value", [4, 4.0, "4", [4], ["4"]])
def test_a_rating_is_read_in_every_form_that_means_it(value: object) -> None:
    assert reading.whole_of({"x": value}, "x", 1, 5) == 4


@pytest.mark.parametrize("value", [None, True, 0, 6, 4.5, "four", [4, 4], {}])
def test_what_is_no_rating_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="x"):
        reading.whole_of({"x": value}, "x", 1, 5)


def test_a_question_passed_over_is_unclear_and_a_yes_brings_no_error() -> None:
    said = [{"q": 1, "answer": "No", "error": "two dogs"}, {"q": 2, "answer": "yes", "error": "x"}]
    assert reading.answers({"answers": said}, 3) == [
        ("unclear", ""), ("no", "two dogs"), ("yes", "")
    ]  # fmt: skip


def test_long_prompts_are_asked_about_whole_and_what_a_picture_says_is_cut() -> None:
    long = "word " * 600
    asked = roles.JUDGE.text(
        {"prompt": f"{long}red", "rewritten": f"{long}blue", "errors": [f"{long}green"]}
    )
    assert "red" in asked
    assert "blue" in asked
    assert "green" not in asked
