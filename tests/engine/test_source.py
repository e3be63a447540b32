"""How rows are cut into batches."""

from __future__ import annotations

import pytest

from imgtool.engine.source import FAMILY_ROWS, batches_of


@pytest.mark.parametrize(
    ("ids", "sizes"),
    [
        ("a b c d e", [2, 2, 1]),
        ("0.0 0.1 0.2 1.0 1.1 2.0", [3, 2, 1]),
        ("0 0.0 0.1 1 2", [3, 2]),
        ("0.0 0 1.0 1.1", [2, 2]),
        ("0.0.0 0.1.0 0.1.1 0.1.2", [4]),
        ("0.0.0 0.0.1 0.1.0 0.1.1", [2, 2]),
    ],
)
def test_a_batch_ends_between_families_only(ids: str, sizes: list[int]) -> None:
    found = list(batches_of(({"id": row_id} for row_id in ids.split()), 2))
    assert [len(batch) for batch in found] == sizes
    assert [row_id for batch in found for row_id in batch.ids] == ids.split()


def test_a_full_batch_of_rows_without_parents_waits_for_no_further_row() -> None:
    coming = iter([{"id": "a"}, {"id": "b"}, {"id": "c"}])
    assert next(batches_of(coming, 2)).ids == ("a", "b")
    assert next(coming) == {"id": "c"}


def test_a_family_that_is_too_large_is_cut_all_the_same() -> None:
    many = ({"id": f"0.{number}"} for number in range(FAMILY_ROWS + 10))
    assert [len(batch) for batch in batches_of(many, 4)] == [FAMILY_ROWS + 4, 6]
