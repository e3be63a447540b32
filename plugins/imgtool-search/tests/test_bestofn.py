"""The best is found, whatever the way to it, and what was tried is written down."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from imgtool.api import Batch, Failure
from imgtool_search.bestofn import Search

if TYPE_CHECKING:
    from collections.abc import Mapping

FULL = 20


@dataclass
class Table:
    """Judges by a table of scores by seed; what it has looked at, it remembers."""

    scores: Mapping[int, float]
    good: float = math.inf
    preview_is_exact: bool = True
    by: str = "score.table"
    seen: list[tuple[str, int]] = field(default_factory=list)

    def look(self, rows: Batch, steps: int, keep_images: bool = True) -> Batch:
        self.seen += [(row_id, steps) for row_id in rows.ids]
        sign = 1 if steps == FULL or self.preview_is_exact else -1
        values = [self.scores[row.seed] for row in rows]
        failed = {
            row_id: Failure("paint", "RowError", "no number")
            for row_id, value in zip(rows.ids, values, strict=True)
            if math.isnan(value)
        }
        return rows.with_columns(score__table=[sign * value for value in values]).fail(failed)

    def best(self, rows: Batch, k: int) -> Batch:
        values = rows.numbers(self.by) if len(rows) else []
        order = sorted(range(len(rows)), key=lambda at: (-values[at], at))
        kept = [
            at
            for at in order
            if sum(rows.parents[other] == rows.parents[at] for other in order[: order.index(at)])
            < k
        ]
        return rows.keep(sorted(kept))

    def enough(self, rows: Batch) -> set[str]:
        pairs = zip(rows.parents, rows.numbers(self.by) if len(rows) else [], strict=True)
        return {parent for parent, value in pairs if value >= self.good}


def batch_of(rows: int, apart: int = 100) -> Batch:
    ids = tuple(map(str, range(rows)))
    return Batch(ids, {"prompt": ["x"] * rows, "seed": [apart * at for at in range(rows)]})


def entries(found: Batch, at: int = 0) -> list[dict[str, object]]:
    record = found["search"][at]
    assert isinstance(record, dict)
    return record["candidates"]  # type: ignore[return-value]


# Few values, so that scores tie; NaN: the candidate fails.
SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=12, max_size=12).map(
    lambda values: dict(enumerate(values))
)


@given(SCORES, st.integers(1, 12), st.integers(1, 4))
def test_the_best_of_all_candidates_is_found_ties_to_the_lowest_seed(
    scores: dict[int, float], n: int, wave: int
) -> None:
    found = Search(n, steps=FULL, wave=wave).run(batch_of(1), Table(scores))
    assert found["seed"] == [max(range(n), key=lambda seed: (scores[seed], -seed))]
    assert len(entries(found)) == n


@given(SCORES, st.integers(1, 11))
def test_more_candidates_are_never_worse(scores: dict[int, float], n: int) -> None:
    few, more = (
        Search(count, steps=FULL).run(batch_of(1), Table(scores)).numbers("score.table")[0]
        for count in (n, n + 1)
    )
    assert more >= few


@given(SCORES, st.integers(1, 12), st.integers(1, 3), st.integers(1, 3))
def test_halving_by_exact_previews_finds_what_a_full_search_finds(
    scores: dict[int, float], n: int, k: int, rounds: int
) -> None:
    looks = tuple(2**at for at in range(rounds))
    halved = Search(n, k, looks, FULL).run(batch_of(1), Table(scores))
    whole = Search(n, k, (), FULL).run(batch_of(1), Table(scores))
    assert halved.ids == whole.ids


def test_each_preview_leaves_the_better_half_and_at_least_k() -> None:
    table = Table({seed: seed / 10 for seed in range(9)})
    found = Search(9, 2, (2, 4, 8), FULL).run(batch_of(1), table)
    counts = {
        steps: sum(1 for _, other in table.seen if other == steps) for steps in (2, 4, 8, FULL)
    }
    assert counts == {2: 9, 4: 5, 8: 3, FULL: 2}
    assert found.ids == ("0.7", "0.8")
    assert [entry["kept"] for entry in entries(found)][:9] == [False] * 4 + [True] * 5
    assert len(entries(found)) == 9 + 5 + 3 + 2


def test_a_wrong_preview_can_lose_the_best_and_says_so() -> None:
    table = Table({seed: seed / 10 for seed in range(4)}, preview_is_exact=False)
    found = Search(4, 1, (2,), FULL).run(batch_of(1), table)
    assert found.ids == ("0.1",)
    assert [e["candidate"] for e in entries(found) if e["kept"]] == ["0.0", "0.1", "0.1"]


def test_a_search_ends_with_the_wave_that_has_enough() -> None:
    table = Table({0: 0.1, 1: 0.9, 2: 1.0, 100: 0.1, 101: 0.2, 102: 0.3}, good=0.9)
    found = Search(3, 1, (), FULL, wave=1).run(batch_of(2), table)
    assert found.ids == ("0.1", "1.2")
    assert [row_id for row_id, _ in table.seen] == ["0.0", "1.0", "0.1", "1.1", "1.2"]
    assert [len(entries(found, at)) for at in range(2)] == [2, 3]


def test_a_candidate_that_fails_is_left_out_and_a_row_without_any_fails() -> None:
    none = math.nan
    table = Table({0: none, 1: 0.2, 100: none, 101: none})
    found = Search(2, 1, (), FULL).run(batch_of(2), table)
    assert found.ids == ("0.1",)
    assert entries(found)[0] == {"candidate": "0.0", "kept": False, "failed": "no number"}
    assert {row_id: why.reason for row_id, why in found.failures.items()} == {"1": "no number"}


def test_rows_that_all_fail_in_a_preview_leave_nothing_to_draw() -> None:
    found = Search(2, 1, (2,), FULL).run(batch_of(1), Table({0: math.nan, 1: math.nan}))
    assert len(found) == 0
    assert list(found.failures) == ["0"]


@given(SCORES, st.integers(1, 5), st.sampled_from([(), (2,), (2, 4)]), st.integers(0, 2))
def test_a_row_finds_alone_what_it_finds_among_others(
    scores: dict[int, float], n: int, looks: tuple[int, ...], wave: int
) -> None:
    search = Search(n, 1, looks, FULL, wave)
    batch = batch_of(2, apart=6)
    together = search.run(batch, Table(scores, good=1.0))
    alone = [search.run(batch.keep([at]), Table(scores, good=1.0)) for at in range(2)]
    assert [row.values for row in together] == [row.values for part in alone for row in part]
