"""Rows that are good and unlike one another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from imgtool.api import (
    IMAGE,
    BadParams,
    Batch,
    Bounds,
    Field,
    FieldRef,
    Help,
    Kind,
    Stage,
    optional,
)
from imgtool.builtin.select.alike import stacked, unlike_pictures, unlike_vectors
from imgtool.builtin.select.ranking import Among, Lowest, families, gains

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from imgtool.builtin.select.alike import From

IMAGE_EMBEDS = Field("image_embeds", Kind.ARRAY, ("D",), summary="Vector of the picture.")


@dataclass(frozen=True)
class DiverseParams:
    """Parameters of `select.diverse`."""

    k: Annotated[int, Help("How many to keep."), Bounds(1)] = 4
    by: Annotated[str, Help("Score that they should have too; empty: none."), FieldRef()] = ""
    quality: Annotated[
        float, Help("Weight of the score against unlikeness, from 0 to 1."), Bounds(0, 1)
    ] = 0.5
    lowest: Lowest = False
    on: Annotated[
        str, Help("Field of vectors to compare; empty: image_embeds, else how pictures look.")
    ] = ""
    scope: Among = "siblings"


class Diverse(Stage[DiverseParams]):
    """The `k` rows chosen one by one: each the best so far, and least like those before it.

    Maximal marginal relevance, Carbonell and Goldstein (1998). Without a score, or with `quality`
    0, it is the greedy choice of k centres, Gonzalez (1985): no row is further from a kept one
    than twice the least distance possible.
    """

    id = "select.diverse"
    summary = "Keep rows that are good and unlike one another."
    scope = "siblings"
    consumes = (optional(IMAGE), optional(IMAGE_EMBEDS))
    check_params = MappingProxyType({"k": 2, "on": "seed"})

    def process(self, batch: Batch) -> Batch:
        """Rows without a score come after all that have one; ties go to the earlier row.

        Raises
        ------
        BadParams : there is nothing to compare rows by.
        """
        params = self.params
        scores = gains(batch, params.by, params.lowest) if params.by else [0.0] * len(batch)
        kept: list[int] = []
        for members in families(batch, params.scope):
            far = distances(batch.keep(members), params.on)
            good = [scores[i] for i in members]
            kept += [members[at] for at in spread(far, good, params.k, params.quality)]
        return batch.keep(sorted(kept))


def distances(batch: Batch, on: str) -> From:
    """Distances between rows: angles of vectors, else differing bits of perceptual hashes.

    Raises
    ------
    BadParams : rows have neither, or what they have is no vectors of one size.
    """
    name = on or (IMAGE_EMBEDS.name if IMAGE_EMBEDS.name in batch else IMAGE.name)
    if name not in batch:
        raise BadParams(
            f"rows have no field {name!r} to compare them by",
            f"--on takes a field of vectors. Fields: {', '.join(sorted(batch.columns))}",
        )
    if name == IMAGE.name:
        return unlike_pictures(batch.arrays(name))
    vectors = stacked(batch[name])
    if vectors is None:
        raise BadParams(f"field {name!r} holds no vectors of one size")
    return unlike_vectors(vectors)


def spread(far: From, good: Sequence[float], k: int, quality: float) -> list[int]:
    """Places of at most `k` rows, in order of choice; ties go to the earlier.

    Parameters
    ----------
    far : distances [N] from a row to all.
    good : a number a row, larger is better; minus infinity: last.
    quality : weight of `good`, scaled to 0 to 1, against the distance to the nearest chosen.
    """
    import numpy as np

    worth = _scaled(good)
    nearest = np.ones(len(good))
    chosen: list[int] = []
    left = list(range(len(good)))
    while left and len(chosen) < k:
        # Of the first, all are equally unlike none: the best of them starts.
        weight = quality if chosen else 1.0
        value = weight * worth + (1 - weight) * nearest
        best = max(left, key=lambda i: (good[i] > -math.inf, value[i], good[i], -i))
        chosen.append(best)
        left.remove(best)
        nearest = np.minimum(nearest, far(best))
    return chosen


def _scaled(good: Sequence[float]) -> np.ndarray:
    """`good` from 0 for the least to 1 for the greatest finite number; all 1 where they tie."""
    import numpy as np

    values = np.asarray(good, dtype=np.float64)
    known = values[np.isfinite(values)]
    if not len(known) or known.min() == known.max():
        return np.ones(len(values))
    scaled: np.ndarray = (values - known.min()) / (known.max() - known.min())
    return np.clip(scaled, 0.0, 1.0, out=scaled)
