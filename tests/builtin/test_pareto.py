"""What is kept of several scores: nothing that another row beats, and everything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.api import BadParams, Batch
from imgtool.builtin.select.pareto import Pareto, ParetoParams

# Few values, so that points tie and repeat.
SCORES = st.sampled_from([None, float("nan"), -1.0, 0.0, 0.5, 1.0])
POINTS = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.tuples(*[SCORES] * width), min_size=1, max_size=12)
)


def batch_of(points: list[tuple[float | None, ...]], ids: list[str] | None = None) -> Batch:
    columns = {f"score.{at}": list(column) for at, column in enumerate(zip(*points, strict=True))}
    return Batch(tuple(ids or map(str, range(len(points)))), columns)


def kept(batch: Batch, **params: object) -> list[str]:
    stage = Pareto()
    stage.params = ParetoParams(**{"by": tuple(batch.columns), "scope": "run", **params})  # type: ignore[arg-type]
    return list(stage.process(batch).ids)


def dominates(one: tuple[float | None, ...], other: tuple[float | None, ...]) -> bool:
    a, b = ([float("-inf") if v is None or v != v else v for v in point] for point in (one, other))
    return all(x >= y for x, y in zip(a, b, strict=True)) and a != b


@given(POINTS)
def test_a_row_is_kept_exactly_when_no_other_dominates_it(
    points: list[tuple[float | None, ...]],
) -> None:
    expected = [
        str(at) for at, point in enumerate(points) if not any(dominates(q, point) for q in points)
    ]
    assert kept(batch_of(points)) == expected


@given(POINTS.flatmap(st.permutations))
def test_the_order_of_rows_changes_only_the_order_of_what_is_kept(
    points: list[tuple[float | None, ...]],
) -> None:
    ids = [str(at) for at in range(len(points))]
    backwards = kept(batch_of(points[::-1], ids[::-1]))
    assert kept(batch_of(points, ids)) == backwards[::-1]


def test_rows_compete_with_their_siblings_unless_told_otherwise() -> None:
    batch = batch_of([(1.0, 0.0), (0.5, 0.0), (0.2, 0.2)], ["0.0", "0.1", "1.0"])
    assert kept(batch, scope="siblings") == ["0.0", "1.0"]
    assert kept(batch_of([(1.0, 1.0), (0.5, 0.0)], ["0.0", "1.0"]), scope="run") == ["0.0"]


def test_smaller_is_better_where_the_score_or_the_user_says_so() -> None:
    batch = batch_of([(1.0, 3.0), (1.0, 2.0)])
    assert kept(batch) == ["0"]
    assert kept(batch, lowest=("score.1",)) == ["1"]
    assert kept(
        batch.with_columns(score_info__1=[{"better": "lower"}] * 2), by=("score.0", "score.1")
    ) == ["1"]


@pytest.mark.parametrize("params", [{"by": ()}, {"lowest": ("score.7",)}, {"by": ("score.7",)}])
def test_scores_that_cannot_be_compared_are_refused(params: dict[str, object]) -> None:
    with pytest.raises(BadParams):
        kept(batch_of([(1.0,)]), **params)
