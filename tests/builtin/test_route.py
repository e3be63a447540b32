"""Prompts go where prompts like them did well, and costs are weighed as told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.api import BadParams, Batch, ImgtoolError, RowError, Runtime
from imgtool.builtin.select.route import Route, RouteParams
from imgtool.builtin.select.routing import Choice, best_choice

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = ["two red cubes side by side", "three blue cones in a row", "two green cubes in a row"]
LIGHTS = ["a sphere at dusk, soft light", "a cone at night, hard light", "a cube in morning light"]


def write(folder: Path, rows: list[dict[str, Any]]) -> str:
    path = folder / "past.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def past(tmp_path: Path) -> str:
    """`counter` draws numbers of things well, `painter` light; `painter` costs four times more."""
    rows = [
        {
            "prompt": prompt,
            "model": model,
            "steps": 10 if model == "counter" else 40,
            "score.clip": 0.4 if (prompt in COUNTS) == (model == "counter") else 0.2,
        }
        for prompt in COUNTS + LIGHTS
        for model in ("painter", "counter")
    ]
    return write(tmp_path, rows)


def routed(batch: Batch, past: str, **params: Any) -> Batch:
    stage = Route()
    stage.open(RouteParams(past, "score.clip", **params), Runtime())
    return stage.process(batch)


def prompts(*texts: str, **columns: Any) -> Batch:
    return Batch(tuple(map(str, range(len(texts)))), {"prompt": texts, **columns})


def test_a_prompt_goes_where_prompts_like_it_did_well(past: str) -> None:
    rows = routed(prompts("two blue cubes in a row", "a red cone, soft light"), past)
    assert rows["route"] == ["counter 10", "painter 40"]


def test_the_record_holds_every_choice(past: str) -> None:
    (record,) = routed(prompts(COUNTS[0]), past, of=("model",))["routing"]
    assert [choice["route"] for choice in record["choices"]] == ["painter", "counter"]
    assert [choice["cost"] for choice in record["choices"]] == [40, 10]
    assert [choice["chosen"] for choice in record["choices"]] == [False, True]
    painter, counter = (choice["predicted"] for choice in record["choices"])
    assert 0.2 < painter < 0.3 < counter < 0.4


def test_a_high_price_buys_the_cheapest_and_none_the_best(past: str) -> None:
    lit = prompts(LIGHTS[0])
    assert routed(lit, past, price=0)["route"] == ["painter 40"]
    assert routed(lit, past, price=1e9)["route"] == ["counter 10"]


def test_smaller_scores_win_where_they_are_better(past: str) -> None:
    rows = routed(prompts(LIGHTS[0]), past, lowest=True)
    assert rows["route"] == ["counter 10"]
    assert all(choice["predicted"] > 0 for choice in rows["routing"][0]["choices"])


def test_vectors_are_compared_where_a_field_is_named(tmp_path: Path) -> None:
    rows = [
        {"vector": vector, "model": model, "score.clip": float(model == best)}
        for vector, best in (([1.0, 0.0], "a"), ([0.0, 1.0], "b"))
        for model in ("a", "b")
    ]
    path = write(tmp_path, rows)
    batch = prompts("x", "y", vector=[[0.9, 0.1], [0.2, 1.0]])
    assert routed(batch, path, of=("model",), on="vector")["route"] == ["a", "b"]
    with pytest.raises(RowError, match="'vector' is no vector"):
        routed(prompts("x", vector=[[1.0]]), path, of=("model",), on="vector")


@pytest.mark.parametrize(
    ("row", "params", "reason"),
    [
        ({"model": "a", "steps": 1}, {}, "no past row has a number in"),
        ({"model": "a", "score.clip": 1}, {}, "no 'steps'"),
        ({"model": "a", "score.clip": 1}, {"of": ("model",), "price": 1.0}, "number in 'steps'"),
        ({"model": "a", "score.clip": 1}, {"of": ("model",), "on": "v"}, "no 'v'"),
    ],
)
def test_a_past_that_lacks_a_field_is_refused(
    tmp_path: Path, row: dict[str, Any], params: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadParams, match=reason):
        routed(prompts("x"), write(tmp_path, [{"prompt": "x", **row}]), **params)


def test_a_past_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "past.txt").write_text("a red cube\n")
    with pytest.raises(ImgtoolError, match="no table of past rows"):
        routed(prompts("x"), str(tmp_path / "past.txt"))


NUMBERS = st.integers(-50, 50).map(lambda n: n / 16)


@given(
    st.lists(st.tuples(NUMBERS, NUMBERS.map(abs)), min_size=1), NUMBERS.map(abs), NUMBERS.map(abs)
)
def test_a_higher_price_never_buys_a_dearer_choice(
    offers: list[tuple[float, float]], price: float, more: float
) -> None:
    choices = [Choice(str(at), cost, {0: 0.0}) for at, (_, cost) in enumerate(offers)]
    predicted = [quality for quality, _ in offers]
    costs = [
        choices[best_choice(choices, predicted, price)].cost
        for price in (0.0, price, price + more, 1e9)
    ]
    assert costs == sorted(costs, reverse=True)
    assert predicted[best_choice(choices, predicted, 0.0)] == max(predicted)
    assert costs[-1] == min(cost for _, cost in offers)
