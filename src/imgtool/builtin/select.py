"""Stages that keep some rows and drop the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import IMAGE, BadParams, Batch, Bounds, Help, Stage, optional
from imgtool.builtin.conditions import holds, parse_condition

if TYPE_CHECKING:
    from collections.abc import Sequence


def ranks(batch: Batch, by: str, lowest: bool) -> list[float]:
    """A number a row, smaller is better; a missing or NaN value comes last.

    Raises
    ------
    BadParams : rows have no field `by`.
    """
    if by not in batch:
        raise BadParams(
            f"rows have no field {by!r} to select by", f"Fields: {', '.join(sorted(batch.columns))}"
        )
    try:
        numbers = batch.numbers(by)
    except (TypeError, ValueError):
        raise BadParams(f"field {by!r} holds no numbers") from None
    return [math.inf if math.isnan(n) else (n if lowest else -n) for n in numbers]


@dataclass(frozen=True)
class BestParams:
    """Parameters of `select.best`."""

    by: Annotated[str, Help("Field to compare, such as score.clip.")]
    keep: Annotated[int, Help("How many of each parent's children to keep."), Bounds(1)] = 1
    lowest: Annotated[bool, Help("Smaller is better.")] = False


class Best(Stage[BestParams]):
    """Of the children of each parent, those with the best values; ties go to the earlier row."""

    id = "select.best"
    summary = "Keep the best child of each parent."
    scope = "siblings"
    default_of_family = True
    check_params = MappingProxyType({"by": "seed"})

    def process(self, batch: Batch) -> Batch:
        """Children of one parent are always in one batch."""
        values = ranks(batch, self.params.by, self.params.lowest)
        families: dict[str, list[int]] = {}
        for index, row_id in enumerate(batch.ids):
            families.setdefault(row_id.rpartition(".")[0] or row_id, []).append(index)
        best = [
            index
            for members in families.values()
            for index in sorted(members, key=lambda i: (values[i], i))[: self.params.keep]
        ]
        return batch.keep(sorted(best))


@dataclass(frozen=True)
class TopParams:
    """Parameters of `select.top`."""

    by: Annotated[str, Help("Field to compare, such as score.clip.")]
    k: Annotated[int, Help("How many rows of the whole run to keep."), Bounds(1)] = 10
    lowest: Annotated[bool, Help("Smaller is better.")] = False


class Top(Stage[TopParams]):
    """Of all rows of the run, the `k` with the best values; ties go to the earlier row."""

    id = "select.top"
    summary = "Keep the best rows of the whole run."
    scope = "run"
    check_params = MappingProxyType({"by": "seed", "k": 2})

    def process(self, batch: Batch) -> Batch:
        """The batch holds every row of the run."""
        values = ranks(batch, self.params.by, self.params.lowest)
        order = sorted(range(len(batch)), key=lambda i: (values[i], i))
        return batch.keep(sorted(order[: self.params.k]))


@dataclass(frozen=True)
class WhereParams:
    """Parameters of `select.where`."""

    condition: Annotated[str, Help("Such as: score.clip > 0.3 and not 'dog' in prompt.")]


class Where(Stage[WhereParams]):
    """Rows for which a condition over their fields holds."""

    id = "select.where"
    summary = "Keep the rows that meet a condition."
    check_params = MappingProxyType({"condition": "'red' in prompt"})

    def process(self, batch: Batch) -> Batch:
        """Each row alone."""
        tree = parse_condition(self.params.condition)
        rows = [{"id": row.id, **row.values} for row in batch]
        return batch.keep([i for i, values in enumerate(rows) if holds(tree, values)])


@dataclass(frozen=True)
class DedupeParams:
    """Parameters of `select.dedupe`."""

    by: Annotated[str, Help("'image', or a text field such as prompt.")] = "image"
    distance: Annotated[
        int, Help("Bits of 64 in which near pictures may differ."), Bounds(0, 32)
    ] = 0


class Dedupe(Stage[DedupeParams]):
    """The first of rows that are equal, or whose pictures look alike."""

    id = "select.dedupe"
    summary = "Drop rows that repeat an earlier one."
    scope = "run"
    consumes = (optional(IMAGE),)
    check_params = MappingProxyType({"by": "prompt"})

    def process(self, batch: Batch) -> Batch:
        """The batch holds every row of the run."""
        if self.params.by not in batch:
            raise BadParams(f"rows have no field {self.params.by!r} to compare by")
        if self.params.by != "image" or self.params.distance == 0:
            return batch.keep(self._first_of_equal(batch))
        kept: list[int] = []
        hashes: list[int] = []
        for index, image in enumerate(batch.arrays("image")):
            value = difference_hash(image)
            if all((value ^ other).bit_count() > self.params.distance for other in hashes):
                kept.append(index)
                hashes.append(value)
        return batch.keep(kept)

    def _first_of_equal(self, batch: Batch) -> list[int]:
        import hashlib

        seen: dict[object, int] = {}
        column: Sequence[Any] = batch[self.params.by]
        for index, value in enumerate(column):
            if hasattr(value, "tobytes"):
                key: object = (value.shape, hashlib.blake2b(value.tobytes()).digest())
            else:
                key = repr(value)
            seen.setdefault(key, index)
        return list(seen.values())


def difference_hash(image: object) -> int:
    """64 bits: whether each of 8×8 cells is brighter than its right neighbour; Krawetz (2013)."""
    import numpy as np
    from PIL import Image

    grey = Image.fromarray(image).convert("L")  # type: ignore[arg-type]  # a numpy picture
    cells = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (cells[:, :-1] > cells[:, 1:]).flatten()
    return sum(1 << i for i, bit in enumerate(bits) if bit)
