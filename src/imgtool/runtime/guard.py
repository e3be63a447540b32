"""Numbers that are none must not become pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np


def broken_rows(arrays: Sequence[np.ndarray]) -> list[int]:
    """Positions of the arrays that hold NaN or infinity."""
    import numpy as np

    return [index for index, array in enumerate(arrays) if not np.isfinite(array).all()]


def retry_broken(
    arrays: Sequence[np.ndarray], again: Callable[[list[int]], Sequence[np.ndarray]] | None
) -> tuple[list[np.ndarray], list[int]]:
    """`arrays` with the broken ones computed once more, and the positions still broken.

    Parameters
    ----------
    again : computes the arrays at some positions in higher precision; None: there is no higher.
    """
    result = list(arrays)
    broken = broken_rows(result)
    if broken and again is not None:
        for index, array in zip(broken, again(broken), strict=True):
            result[index] = array
        broken = broken_rows(result)
    return result, broken


def is_constant(image: np.ndarray) -> bool:
    """Whether every pixel of a picture [H, W, C] is the same."""
    return bool((image == image[:1, :1]).all())
