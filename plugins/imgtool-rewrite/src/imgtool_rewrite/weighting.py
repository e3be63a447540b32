"""Token vectors scaled by weights, as the two schools do it.

z: [T, D] vectors of a prompt's tokens; w: [T] weights, 1 for marks and padding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

# A weight of 0 would take infinitely much of the prompt without the text.
LEAST = 1e-5


def scaled(z: Tensor, w: Tensor) -> Tensor:
    """A1111: vectors times weights, then all of them times what restores the mean."""
    if bool((w == 1).all()):
        return z
    weighted = z * w[:, None]
    mean = weighted.mean()
    return weighted * (z.mean() / mean) if mean != 0 else weighted


def drawn_from_empty(z: Tensor, empty: Tensor, w: Tensor) -> Tensor:
    """compel, upwards: away from the vectors of the empty prompt, [T, D], or towards them."""
    return empty + (z - empty) * w[:, None]


def blended(whole: Tensor, without: Sequence[tuple[Tensor, float]]) -> Tensor:
    """compel, downwards: the mean with the prompts that lack each text of weight below 1.

    Parameters
    ----------
    without : the vectors when a text is masked, and its weight: 1 takes nothing of them, 0.5 half,
        0 nearly all.
    """
    shares = [1.0] + [math.tan((1 - max(w, LEAST)) * math.pi / 2) for _, w in without]
    vectors = torch.stack([whole, *(z for z, _ in without)])
    p = torch.tensor(shares, dtype=vectors.dtype)
    return (vectors * (p / p.sum())[:, None, None]).sum(0)
