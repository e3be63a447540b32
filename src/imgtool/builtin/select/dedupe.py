"""Rows that repeat an earlier one, and pictures that look like one."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import IMAGE, BadParams, Batch, Bounds, Help, Stage, optional
from imgtool.builtin.select.alike import difference_hash

if TYPE_CHECKING:
    from collections.abc import Sequence


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
