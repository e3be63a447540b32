"""The rows with the best values of one field: of each parent's children, or of the whole run."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from imgtool.api import Batch, Bounds, FieldRef, Help, Scope, Stage
from imgtool.builtin.select.ranking import Lowest, families, gains

if TYPE_CHECKING:
    from collections.abc import Sequence

Field = Annotated[str, Help("Field to compare, such as score.clip."), FieldRef()]


def keep_best(batch: Batch, values: Sequence[float], k: int, scope: str) -> Batch:
    """Of each family the `k` rows with the largest values, in their order; ties to the earlier."""
    best = [
        index
        for members in families(batch, scope)
        for index in sorted(members, key=lambda i: (-values[i], i))[:k]
    ]
    return batch.keep(sorted(best))


@dataclass(frozen=True)
class BestParams:
    """Parameters of `select.best`."""

    by: Field
    k: Annotated[int, Help("How many of each parent's children to keep."), Bounds(1)] = 1
    lowest: Lowest = False


class Best(Stage[BestParams]):
    """Of the children of each parent, those with the best values; ties go to the earlier row."""

    id, version = "select.best", 2
    summary = "Keep the best children of each parent."
    scope = "siblings"
    default_of_family = True
    check_params = MappingProxyType({"by": "seed"})

    def process(self, batch: Batch) -> Batch:
        """Children of one parent are always in one batch."""
        values = gains(batch, self.params.by, self.params.lowest)
        return keep_best(batch, values, self.params.k, Scope.SIBLINGS)


@dataclass(frozen=True)
class TopParams:
    """Parameters of `select.top`."""

    by: Field
    k: Annotated[int, Help("How many rows of the whole run to keep."), Bounds(1)] = 10
    lowest: Lowest = False


class Top(Stage[TopParams]):
    """Of all rows of the run, the `k` with the best values; ties go to the earlier row."""

    id, version = "select.top", 2
    summary = "Keep the best rows of the whole run."
    scope = "run"
    check_params = MappingProxyType({"by": "seed", "k": 2})

    def process(self, batch: Batch) -> Batch:
        """The batch holds every row of the run."""
        values = gains(batch, self.params.by, self.params.lowest)
        return keep_best(batch, values, self.params.k, Scope.RUN)
