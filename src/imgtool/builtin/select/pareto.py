"""The Pareto front: rows that no other row beats in every score."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from imgtool.api import BadParams, Batch, FieldRef, Help, Stage
from imgtool.builtin.select.ranking import Among, families, gains

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class ParetoParams:
    """Parameters of `select.pareto`."""

    by: Annotated[tuple[str, ...], Help("Fields to compare, such as score.clip."), FieldRef()]
    lowest: Annotated[
        tuple[str, ...], Help("Of these, where smaller is better and the score does not say so.")
    ] = ()
    scope: Among = "siblings"


class Pareto(Stage[ParetoParams]):
    """Rows to which no other is preferable: as good in every score, and better in one."""

    id = "select.pareto"
    summary = "Keep the rows that no other beats in all of several scores."
    scope = "siblings"
    check_params = MappingProxyType({"by": ("seed",)})

    def process(self, batch: Batch) -> Batch:
        """A missing score is worse than any other. Rows that tie in every score are all kept.

        Raises
        ------
        BadParams : no field is named, or one is not there.
        """
        by, lowest = self.params.by, self.params.lowest
        strange = sorted(set(lowest) - set(by))
        if strange or not by:
            raise BadParams(
                f"{strange[0]!r} is not compared" if strange else "no field is compared",
                "Name every score with --by, and with --lowest those where smaller is better",
            )
        columns = [gains(batch, name, name in lowest) for name in by]
        points = list(zip(*columns, strict=True))
        kept = [
            members[at]
            for members in families(batch, self.params.scope)
            for at in front([points[i] for i in members])
        ]
        return batch.keep(sorted(kept))


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Indices of the points that no other dominates, in order; larger is better.

    One point dominates another that is nowhere larger and somewhere smaller.
    """
    import numpy as np

    table = np.asarray(points, dtype=np.float64)
    # Best first, by the first score, then the next: whatever dominates a point stands before it.
    order = sorted(range(len(table)), key=lambda i: tuple(-table[i]))
    kept: list[int] = []
    for index in order:
        rivals, point = table[kept], table[index]
        if not ((rivals >= point).all(axis=1) & (rivals > point).any(axis=1)).any():
            kept.append(index)
    return sorted(kept)
