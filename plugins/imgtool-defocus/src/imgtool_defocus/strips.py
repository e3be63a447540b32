"""A picture in strips of rows, where memory does not hold what a lens model needs for all of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from imgtool_defocus.aperture import Aperture
    from imgtool_defocus.lens import LensModel

PARTS: Final = 8
REACHES: Final = 3
"""Discs' radii from a pixel to the farthest that counts for it: light comes from one radius away,
and what is hidden there is guessed from what is up to two away."""


class Halving(Protocol):
    """`Runtime.halving`."""

    def __call__(
        self,
        compute: Callable[[Sequence[slice]], Sequence[Tensor]],
        rows: Sequence[slice],
        size: int = 0,
    ) -> list[Tensor]:
        """`compute` over all `rows`, half as many at once whenever memory runs out."""
        ...


@dataclass(frozen=True)
class Strips:
    """A lens model that renders the whole picture or, where memory runs out, strips of it.

    What a model takes from the whole, it then takes from each strip: slices of `layered` have the
    mean disc of theirs in the strip.
    """

    model: LensModel
    halving: Halving

    def __call__(self, linear: Tensor, coc: Tensor, aperture: Aperture) -> tuple[Tensor, Tensor]:
        """Blurred light and its coverage.

        Raises
        ------
        OutOfMemory : the least strip does not fit.
        """
        reach = REACHES * (aperture.span(float(coc.abs().max()) / 2.0) + 1)

        def rendered(strips: Sequence[slice]) -> list[Tensor]:
            top, bottom = strips[0].start, strips[-1].stop
            first = max(0, top - reach)
            rows = slice(first, bottom + reach)
            light, coverage = self.model(linear[:, rows], coc[rows], aperture)
            both = torch.cat((light, coverage[None]))
            return [both[:, strip.start - first : strip.stop - first] for strip in strips]

        done = torch.cat(self.halving(rendered, _strips(len(coc)), PARTS), dim=1)
        return done[:-1], done[-1]


def _strips(height: int) -> list[slice]:
    ends = [height * part // PARTS for part in range(PARTS + 1)]
    return [slice(top, bottom) for top, bottom in itertools.pairwise(ends) if top < bottom]
