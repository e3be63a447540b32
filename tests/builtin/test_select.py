"""Selection keeps the right rows, and conditions run nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.api import BadParams, Batch, RowError
from imgtool.builtin.conditions import holds, parse_condition
from imgtool.builtin.image import Read, ReadParams
from imgtool.builtin.select.best import Best, BestParams, Top, TopParams
from imgtool.builtin.select.dedupe import Dedupe, DedupeParams
from imgtool.builtin.select.where import Where, WhereParams


def kept(stage: Any, params: Any, batch: Batch) -> list[str]:
    stage.params = params
    return list(stage.process(batch).ids)


def scored(**values: float | None) -> Batch:
    ids = tuple(name.strip("_").replace("_", ".") for name in values)
    return Batch(ids, {"score.a": list(values.values()), "prompt": [f"p{i}" for i in ids]})


FAMILY = scored(_0_0=1.0, _0_1=3.0, _0_2=3.0, _1_0=float("nan"), _1_1=0.5, _2=None)


def test_best_child_of_each_parent_is_kept_ties_to_the_earlier() -> None:
    assert kept(Best(), BestParams("score.a"), FAMILY) == ["0.1", "1.1", "2"]
    assert kept(Best(), BestParams("score.a", lowest=True), FAMILY) == ["0.0", "1.1", "2"]
    assert kept(Best(), BestParams("score.a", k=2), FAMILY) == ["0.1", "0.2", "1.0", "1.1", "2"]


def test_a_score_says_itself_that_smaller_is_better() -> None:
    batch = FAMILY.with_columns(score_info__a=[None, *[{"better": "lower"}] * 5])
    assert kept(Best(), BestParams("score.a"), batch) == ["0.0", "1.1", "2"]
    assert kept(Top(), TopParams("score.a", k=2), batch) == ["0.0", "1.1"]


def test_top_rows_of_all_are_kept_in_their_order() -> None:
    assert kept(Top(), TopParams("score.a", k=3), FAMILY) == ["0.0", "0.1", "0.2"]


def test_unknown_or_wordy_field_is_refused() -> None:
    with pytest.raises(BadParams, match=r"no field 'score\.b'"):
        kept(Top(), TopParams("score.b"), FAMILY)
    with pytest.raises(BadParams, match="no numbers"):
        kept(Top(), TopParams("prompt"), FAMILY)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("score.a > 0.9", ["0.0", "0.1", "0.2"]),
        ("score.a > 0.9 and not id == '0.0'", ["0.1", "0.2"]),
        ("'p1' in prompt or score.a == 1", ["0.0", "1.0", "1.1"]),
        ("0 < score.a * 2 < 1.5", ["1.1"]),
    ],
)
def test_rows_that_meet_a_condition_are_kept(condition: str, expected: list[str]) -> None:
    assert kept(Where(), WhereParams(condition), FAMILY) == expected


@pytest.mark.parametrize(
    "bad",
    [
        "print(1)",
        "score.a.__class__()",
        "[1][0]",
        "lambda: 1",
        "x := 1",
        "a if b else c",
        "f'{x}'",
        "1 +",
        "2 ** 99",
    ],
)
def test_anything_but_a_condition_is_refused(bad: str) -> None:
    with pytest.raises(BadParams):
        parse_condition(bad)


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        holds(parse_condition(text), {"a": 1, "id": "0"})
    except BadParams:
        pass


def test_equal_and_alike_pictures_are_dropped() -> None:
    rng = np.random.default_rng(0)
    one = np.kron(rng.integers(0, 255, (9, 9, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    near = np.clip(one.astype(int) + 2, 0, 255).astype(np.uint8)
    other = one[::-1].copy()
    batch = Batch(("a", "b", "c", "d"), {"image": [one, one.copy(), near, other]})
    assert kept(Dedupe(), DedupeParams(), batch) == ["a", "c", "d"]
    assert kept(Dedupe(), DedupeParams(distance=6), batch) == ["a", "d"]


def test_unreadable_picture_fails_its_row(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(RowError, match="no readable picture"):
        kept(Read(), ReadParams(str(tmp_path)), Batch(("0",), {"path": ["x.png"]}))
