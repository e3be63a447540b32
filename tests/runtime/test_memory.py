"""Going on with fewer rows when memory runs out, and the guard against numbers that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from imgtool.errors import OutOfMemory
from imgtool.runtime.guard import broken_rows, is_constant, retry_broken
from imgtool.runtime.memory import available_bytes, halving, is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Sequence


class Small:
    """Doubles numbers, but only so many at once; notes the sizes it was asked for."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.asked: list[int] = []

    def __call__(self, rows: Sequence[int]) -> list[int]:
        self.asked.append(len(rows))
        if len(rows) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")
        return [2 * row for row in rows]


def test_rows_are_halved_until_they_fit_and_stay_in_order() -> None:
    small = Small(room=3)
    assert halving(small, list(range(10))) == [2 * row for row in range(10)]
    assert small.asked == [10, 5, 3, 3, 3, 1]


def test_first_size_is_kept() -> None:
    small = Small(room=9)
    halving(small, list(range(5)), size=2)
    assert small.asked == [2, 2, 1]


def test_one_row_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(OutOfMemory):
        halving(Small(room=0), [1, 2])


def test_other_errors_pass() -> None:
    def broken(rows: Sequence[int]) -> list[int]:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        halving(broken, [1, 2])


def test_no_rows_give_no_results() -> None:
    assert halving(Small(room=1), []) == []


def test_memory_errors_of_all_devices_are_known() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_available_memory_is_known_here() -> None:
    assert available_bytes() > 0


def test_broken_rows_are_computed_again() -> None:
    good, bad = np.zeros(2), np.array([0.0, np.nan])
    asked: list[list[int]] = []

    def again(rows: list[int]) -> list[np.ndarray]:
        asked.append(rows)
        return [good]

    arrays, broken = retry_broken([good, bad], again)
    assert (asked, broken) == ([[1]], [])
    assert np.isfinite(arrays[1]).all()


def test_rows_that_stay_broken_are_named() -> None:
    bad = np.array([np.inf])
    assert retry_broken([bad], lambda rows: [bad])[1] == [0]
    assert retry_broken([bad], None)[1] == [0]
    assert broken_rows([np.ones(1), bad]) == [1]


def test_constant_picture_is_seen() -> None:
    picture = np.full((4, 4, 3), 7, np.uint8)
    assert is_constant(picture)
    picture[2, 2, 0] = 8
    assert not is_constant(picture)
