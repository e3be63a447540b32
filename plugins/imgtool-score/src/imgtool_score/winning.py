"""`score.win`: any score as chances of winning among the children of one parent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from imgtool.api import BadParams, Batch, Bounds, Help, Stage, score
from imgtool_score.record import About, Scored, fingerprint, info, with_scores

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class WinParams:
    """Parameters of `score.win`."""

    by: Annotated[str, Help("Score that decides.")] = "score.pick"
    temperature: Annotated[float, Help("Scores are divided by it."), Bounds(1e-9)] = 1.0
    lowest: Annotated[bool, Help("Smaller is better.")] = False


class Win(Stage[WinParams]):
    """The chance that each child of a parent is preferred: softmax of a score over siblings."""

    id, version = "score.win", 1
    summary = "Turn a score into chances of winning among siblings."
    scope = "siblings"
    produces = (score("win"), info("win"))
    check_params = MappingProxyType({"by": "seed", "temperature": 1e9})

    def process(self, batch: Batch) -> Batch:
        """Children of one parent are always in one batch; rows without a score have no chance.

        Raises
        ------
        BadParams : rows have no such score.
        """
        params = self.params
        if params.by not in batch:
            raise BadParams(
                f"score.win: rows have no field {params.by!r}",
                f"Fields: {', '.join(sorted(batch.columns))}",
            )
        sign = -1.0 if params.lowest else 1.0
        values = [sign * value / params.temperature for value in batch.numbers(params.by)]
        families: dict[str, list[int]] = {}
        for index, row_id in enumerate(batch.ids):
            families.setdefault(row_id.rpartition(".")[0] or row_id, []).append(index)
        chances: dict[int, float] = {}
        for members in families.values():
            there = [index for index in members if math.isfinite(values[index])]
            chances |= zip(there, softmax([values[index] for index in there]), strict=True)
        about = About("win", "", fingerprint("win/1", params.by, params.temperature), 0.0, 1.0)
        found = [
            Scored(chances[index], "", {"by": params.by})
            if index in chances
            else Scored(None, f"the row has no {params.by}")
            for index in range(len(batch))
        ]
        return with_scores(batch, about, found)


def softmax(values: Sequence[float]) -> list[float]:
    """exp of each over their sum; unchanged when a constant is added to all."""
    if not values:
        return []
    highest = max(values)
    powers = [math.exp(value - highest) for value in values]
    return [power / math.fsum(powers) for power in powers]
