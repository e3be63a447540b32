"""Damping a Hessian and factorising its inverse: H~^-1 = U^T U with U upper triangular.

U_jj^2 is the first diagonal entry of the inverse of H~[j:, j:]: the denominator of OBS when the
columns before j are frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

DAMPING = 0.01
RETRIES = 3


class NotPositiveDefinite(ArithmeticError):
    """A damped Hessian has no Cholesky factor, even with the damping raised."""


@dataclass(frozen=True)
class Damped:
    """A Hessian made positive definite.

    Attributes
    ----------
    matrix : H~ [d, d].
    dead : [d] bool, channels without input; their diagonal was set to 1 before damping.
    lower : L [d, d] of the reversed matrix: J H~ J = L L^T, with J the reversal.
    damping : relative to the mean diagonal, as used.
    retries : how often it was raised tenfold.
    """

    matrix: Tensor
    dead: Tensor
    lower: Tensor
    damping: float
    retries: int

    def upper(self) -> Tensor:
        """U [d, d], H~^-1 = U^T U.

        From one factorisation of the reversed matrix and one triangular inverse, 2/3 d^3; the usual
        way (factorise, invert, factorise) takes 4/3 d^3 and loses the digits of an inverse.
        """
        identity = torch.eye(len(self.lower), dtype=self.lower.dtype, device=self.lower.device)
        inverse = torch.linalg.solve_triangular(self.lower, identity, upper=False)
        return inverse.flip(0, 1).contiguous()

    def inverse(self) -> Tensor:
        """H~^-1 [d, d]."""
        return torch.cholesky_inverse(self.lower).flip(0, 1).contiguous()

    def facts(self, inverse_trace: float) -> dict[str, float]:
        """For the report; `inverse_trace` is tr(H~^-1)."""
        return {
            "damping": self.damping,
            "damping_raised": self.retries,
            "dead_channels": int(self.dead.sum()),
            "effective_rank": self.effective_rank(inverse_trace),
        }

    def effective_rank(self, inverse_trace: float) -> float:
        """tr(H H~^-1) of channels with input: how many the inputs decide, and not the damping."""
        added = float(self.matrix.diagonal().mean()) * self.damping / (1 + self.damping)
        dead = int(self.dead.sum())
        return len(self.dead) - dead - added * (inverse_trace - dead / (1 + added))


def damp(hessian: Tensor, damping: float = DAMPING) -> Damped:
    """`hessian` plus `damping` times its mean diagonal, tenfold as much if it has no factor.

    Parameters
    ----------
    hessian : [d, d], symmetric, float32 or float64.

    Raises
    ------
    ValueError : it holds numbers that are not finite.
    NotPositiveDefinite : no factor after three rises.
    """
    if not torch.isfinite(hessian).all():
        raise ValueError("the Hessian holds numbers that are not finite")
    raised = hessian.clone()
    diagonal = raised.diagonal()
    dead = diagonal == 0
    diagonal[dead] = 1
    plain, mean = diagonal.clone(), diagonal.mean()
    for retries in range(RETRIES + 1):
        used = damping * 10**retries
        diagonal.copy_(plain + used * mean)
        lower, info = torch.linalg.cholesky_ex(raised.flip(0, 1))
        if not info:
            return Damped(raised, dead, lower, used, retries)
    raise NotPositiveDefinite(f"no Cholesky factor with damping {used:g}")
