"""Random layers in float64, with inputs whose channels are correlated and of uneven size."""

from __future__ import annotations

import torch

from imgtool_prune.factor import Damped, damp


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs(tokens: int, width: int, seed: int = 0) -> torch.Tensor:
    """Tokens with a power-law spectrum and three outlier channels, [tokens, width]."""
    random = generator(seed)
    plain = torch.randn(tokens, width, generator=random, dtype=torch.float64)
    mixing = torch.randn(width, width, generator=random, dtype=torch.float64)
    spectrum = torch.arange(1, width + 1, dtype=torch.float64) ** -0.7
    x = (plain * spectrum) @ mixing
    x[:, torch.randperm(width, generator=random)[:3]] *= 6
    return x


def hessian(width: int, seed: int = 0, tokens: int = 400) -> torch.Tensor:
    x = inputs(tokens, width, seed)
    return 2 * x.T @ x / tokens


def weight(rows: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, width, generator=generator(1000 + seed), dtype=torch.float64)


def layer(rows: int, width: int, seed: int = 0) -> tuple[torch.Tensor, Damped]:
    return weight(rows, width, seed), damp(hessian(width, seed))


def squared_error(before: torch.Tensor, after: torch.Tensor, matrix: torch.Tensor) -> float:
    """tr(dW M dW^T), as the formula stands."""
    apart = before - after
    return float((apart @ matrix @ apart.T).trace())
