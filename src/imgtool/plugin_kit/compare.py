"""Whether two results of a stage are the same, exactly or to a tolerance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgtool.batch import Batch

# Of the largest magnitude in the array or score; products of other sizes round differently.
RELATIVE = 1e-3
# Of 8-bit pictures and other whole numbers in arrays.
LEVELS = 2


def difference(one: Batch, other: Batch, fields: Collection[str], exact: bool) -> str:
    """Where rows of `one` differ from rows of the same id in `other`; empty: nowhere.

    Only rows that descend from rows which both were given are compared.
    """
    shared = set(one.parents) & set(other.parents)
    left = {row.id: row for row, up in zip(one, one.parents, strict=True) if up in shared}
    right = {row.id: row for row, up in zip(other, other.parents, strict=True) if up in shared}
    if set(left) != set(right):
        lost = sorted(set(left) ^ set(right))[0]
        return f"row {lost!r} is there once and not the other time"
    for row_id, row in left.items():
        for name in fields:
            how = _differs(row.values.get(name), right[row_id].values.get(name), exact)
            if how:
                return f"{name!r} of row {row_id!r} {how}"
    return ""


def _differs(one: Any, other: Any, exact: bool) -> str:
    if hasattr(one, "dtype") and hasattr(other, "dtype"):
        return _arrays_differ(one, other, exact)
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    if numbers and not exact and math.isclose(one, other, rel_tol=RELATIVE, abs_tol=1e-9):
        return ""
    if numbers and math.isnan(one) and math.isnan(other):
        return ""
    if not exact and _is_nested(one, other):
        return _records_differ(one, other)
    return "" if one == other else f"is {one!r} and {other!r}"


def _is_nested(one: Any, other: Any) -> bool:
    return any(isinstance(one, kind) and isinstance(other, kind) for kind in (dict, list))


def _records_differ(one: Any, other: Any) -> str:
    """Where two mappings, or two lists, differ by more than the tolerance of numbers."""
    left, right = (v if isinstance(v, dict) else dict(enumerate(v)) for v in (one, other))
    if left.keys() != right.keys():
        return f"is {one!r} and {other!r}"
    found = ((name, _differs(left[name], right[name], exact=False)) for name in left)
    return next((f"at {name!r} {how}" for name, how in found if how), "")


def _arrays_differ(one: Any, other: Any, exact: bool) -> str:
    import numpy as np

    if one.shape != other.shape or one.dtype != other.dtype:
        return f"is {list(one.shape)} {one.dtype} and {list(other.shape)} {other.dtype}"
    if one.tobytes() == other.tobytes():
        return ""
    first, second = one.astype(np.float64), other.astype(np.float64)
    gap = float(np.nanmax(np.abs(first - second), initial=0.0))
    if exact:
        return f"differs by up to {gap:.3g}"
    allowed = float(np.nanmax(np.abs(second), initial=0.0)) * RELATIVE
    if one.dtype.kind in "iu":
        allowed = LEVELS
    same_nan = np.array_equal(np.isnan(first), np.isnan(second))
    return "" if same_nan and gap <= allowed else f"differs by up to {gap:.3g}"
