"""What pruning has to know of a layer's inputs, gathered call by call.

Layers that see the same input share one accumulator. X is one call's input with a column a token,
alpha its step's weight, b the rows of its batch (both halves of guidance count).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

# Tokens brought to the accumulator's precision at once: inputs are half precision on a GPU.
CHUNK = 8192


@contextmanager
def exact_products() -> Iterator[None]:
    """Matrix products of float32 in float32: TF32 would cost Hessians three digits."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


class Accumulator(ABC):
    """Sums over calls of one input; subclasses say of what.

    Attributes
    ----------
    tokens : seen so far.
    weight : sum of alpha * b so far.
    """

    def __init__(self, width: int, dtype: torch.dtype, device: torch.device | str) -> None:
        self.width, self.dtype, self.device = width, dtype, torch.device(device)
        self.tokens, self.weight = 0, 0.0

    def add(self, x: Tensor, alpha: float = 1.0) -> None:
        """Count one call.

        `alpha` multiplies sums, never activations: half precision would overflow and round.

        Parameters
        ----------
        x : [b, ..., width], or [width] for a single token.

        Raises
        ------
        ValueError : another width, or numbers that are not finite.
        """
        if x.shape[-1] != self.width:
            raise ValueError(f"input of width {x.shape[-1]} for a layer of width {self.width}")
        rows = x.detach().reshape(-1, self.width)
        for chunk in rows.split(CHUNK):
            part = chunk.to(self.device, self.dtype)
            if not torch.isfinite(part).all():
                raise ValueError("the input holds numbers that are not finite")
            self._add(part, alpha)
        self.tokens += len(rows)
        self.weight += alpha * (x.shape[0] if x.ndim > 1 else 1)

    @abstractmethod
    def _add(self, x: Tensor, alpha: float) -> None:
        """Count a part of a call, [rows, width] in this accumulator's dtype."""

    def state(self) -> dict[str, Tensor]:
        """All that was counted, by name; `restore` takes it."""
        counts = torch.tensor([self.tokens, self.weight], dtype=torch.float64)
        return {"counts": counts, **self._sums()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state`."""
        tokens, self.weight = state["counts"].tolist()
        self.tokens = int(tokens)
        for name, total in self._sums().items():
            total.copy_(state[name])

    @abstractmethod
    def _sums(self) -> dict[str, Tensor]:
        """The tensors counted in, themselves."""

    def _normalised(self, total: Tensor) -> Tensor:
        """`total` per batch row; zeros where nothing was seen."""
        return total / self.weight if self.weight else total.clone()


class Hessian(Accumulator):
    """H = 2 / sum(alpha b) * sum(alpha X X^T), OBS-Diff eq. 5.

    1/2 tr(dW H dW^T) is then the weighted squared output error per batch row. Sums are kept rather
    than a running mean: the same up to rounding, and d^2 fewer operations a call.
    """

    def __init__(
        self,
        width: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(width, dtype, device)
        self._sum = torch.zeros(width, width, dtype=dtype, device=device)

    def _add(self, x: Tensor, alpha: float) -> None:
        with exact_products():
            self._sum.addmm_(x.T, x, alpha=alpha)

    def _sums(self) -> dict[str, Tensor]:
        return {"sum": self._sum}

    def matrix(self) -> Tensor:
        """H, [width, width]."""
        return self._normalised(2 * self._sum)


class Moments(Accumulator):
    """Sums by channel, for criteria that need no full Hessian: Wanda and DSnoT."""

    def __init__(
        self,
        width: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(width, dtype, device)
        self._sum, self._squares = (torch.zeros(width, dtype=dtype, device=device) for _ in "sq")
        self._weighted_tokens = torch.zeros((), dtype=torch.float64)

    def _add(self, x: Tensor, alpha: float) -> None:
        self._sum.add_(x.sum(0), alpha=alpha)
        self._squares.add_(x.square().sum(0), alpha=alpha)
        self._weighted_tokens += alpha * len(x)

    def _sums(self) -> dict[str, Tensor]:
        return {"sum": self._sum, "squares": self._squares, "tokens": self._weighted_tokens}

    def diagonal(self) -> Tensor:
        """Diagonal of H, [width]."""
        return self._normalised(2 * self._squares)

    def summed(self) -> Tensor:
        """Weighted sum of the inputs per batch row, [width]."""
        return self._normalised(self._sum)

    def variance(self) -> Tensor:
        """Weighted variance over tokens, [width], >= 0."""
        tokens = float(self._weighted_tokens) or 1.0
        return (self._squares / tokens - (self._sum / tokens).square()).clamp_min(0)


class HessianAndMoments(Hessian):
    """Both, for DSnoT.

    Attributes
    ----------
    moments : of the same calls.
    """

    def __init__(
        self,
        width: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(width, dtype, device)
        self.moments = Moments(width, device=device)

    def add(self, x: Tensor, alpha: float = 1.0) -> None:
        """See `Accumulator.add`."""
        super().add(x, alpha)
        self.moments.add(x, alpha)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """See `Accumulator.restore`."""
        super().restore(state)
        self.moments.tokens, self.moments.weight = self.tokens, self.weight

    def _sums(self) -> dict[str, Tensor]:
        moments = self.moments._sums()
        return {**super()._sums(), **{f"moments_{name}": sums for name, sums in moments.items()}}
