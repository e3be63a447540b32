"""The objective of prompt embedding optimisation, Baumann et al. (2025), arXiv 2510.02599.

J(theta) = l1 * A(f) / 10 + l2 * <f, h> + l3 * P(theta), with f the unit CLIP vector of the picture
drawn from theta, A an aesthetic head, h a unit vector of the text and P how much of the first
embeddings is kept. theta: [T, D] vectors of the prompt's tokens; e: its first end mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

# The head's scale, about 1 to 10, to that of the other terms.
AESTHETIC_SCALE = 0.1


@dataclass(frozen=True)
class Weights:
    """l1, l2 and l3."""

    aesthetic: float = 1.0
    consistency: float = 0.5
    preservation: float = 0.5


@dataclass(frozen=True)
class Terms:
    """What an evaluation found.

    Attributes
    ----------
    objective : J.
    aesthetic : A, in the head's scale.
    consistency : <f, h>.
    preservation : P; 1 at the start.
    agreement : cosine of f with the text that the user asked for; not in J.
    """

    objective: float
    aesthetic: float
    consistency: float
    preservation: float
    agreement: float


def total(weights: Weights, aesthetic: Tensor, consistency: Tensor, preservation: Tensor) -> Tensor:
    """J of its three terms."""
    return (
        weights.aesthetic * AESTHETIC_SCALE * aesthetic
        + weights.consistency * consistency
        + weights.preservation * preservation
    )


def end_cosine(theta: Tensor, theta0: Tensor, end: int, width: int) -> Tensor:
    """Cosine with the start at the end mark alone: the paper's. Other tokens feel no pull.

    Parameters
    ----------
    width : numbers that are looked at, those of the first text encoder.
    """
    return F.cosine_similarity(theta[end, :width], theta0[end, :width], dim=0)


def all_kept(theta: Tensor, theta0: Tensor) -> Tensor:
    """1 less the mean over tokens of the squared distance from the start, relative to its length.

    Every token is pulled, in length too.
    """
    lengths = (theta0**2).sum(-1).clamp_min(torch.finfo(theta0.dtype).tiny)
    return 1 - (((theta - theta0) ** 2).sum(-1) / lengths).mean()


def projected(theta: Tensor, end: int, projection: Any) -> Tensor:
    """Unit vector of the text in CLIP's space, from states after the last layer norm."""
    vector: Tensor = F.normalize(projection(theta[end].to(projection.weight.dtype)), dim=-1)
    return vector


def recomputed(theta: Tensor, end: int, projection: Any, tower: Any) -> Tensor:
    """The same from states before the last block of CLIP's text `tower`, as SDXL reads them.

    The projection was trained behind that block and its layer norm: they are run.
    """
    tower = getattr(tower, "text_model", tower)
    states = theta[None].to(tower.final_layer_norm.weight.dtype)
    count = states.shape[1]
    future = torch.full((count, count), -torch.inf, dtype=states.dtype, device=states.device)
    states = tower.encoder.layers[-1](states, future.triu(1)[None, None])
    return projected(tower.final_layer_norm(states)[0], end, projection)
