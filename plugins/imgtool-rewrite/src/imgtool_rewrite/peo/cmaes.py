"""Separable CMA-ES, Ros and Hansen (2008): maximises without a gradient, in linear time and memory.

n: numbers to choose; lambda: candidates a generation; C: [n] diagonal of the covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

VECTORS = ("mean", "c", "path_c", "path_sigma")


def default_population(n: int) -> int:
    """Candidates of a generation, Hansen's default."""
    return 4 + int(3 * math.log(n))


@dataclass
class SepCmaEs:
    """The search's state: a normal distribution of independent numbers.

    Attributes
    ----------
    mean : [n] float64.
    sigma : step length.
    """

    mean: Tensor
    sigma: float
    population: int
    generator: torch.Generator
    c: Tensor = field(init=False)
    path_c: Tensor = field(init=False)
    path_sigma: Tensor = field(init=False)
    generation: int = 0

    def __post_init__(self) -> None:
        self.mean = self.mean.double()
        self.c = torch.ones_like(self.mean)
        self.path_c = torch.zeros_like(self.mean)
        self.path_sigma = torch.zeros_like(self.mean)
        n, mu = len(self.mean), max(self.population // 2, 1)
        raw = torch.log(torch.tensor(mu + 0.5)) - torch.arange(1, mu + 1).double().log()
        self.w = raw / raw.sum()
        self.mu_eff = mu_eff = float(1 / (self.w**2).sum())
        self.c_sigma = (mu_eff + 2) / (n + mu_eff + 5)
        self.damping = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + self.c_sigma
        self.c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)
        # A diagonal has n numbers to learn instead of n², so it may learn faster.
        faster = (n + 2) / 3
        self.c_1 = min(1.0, faster * 2 / ((n + 1.3) ** 2 + mu_eff))
        c_mu = faster * 2 * (mu_eff - 2 + 1 / mu_eff) / ((n + 2) ** 2 + mu_eff)
        self.c_mu = min(1 - self.c_1, c_mu)
        self.chi = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))

    def ask(self) -> Tensor:
        """[lambda, n] candidates."""
        shape = (self.population, len(self.mean))
        z = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return self.mean + self.sigma * self.c.sqrt() * z

    def tell(self, candidates: Tensor, values: Sequence[float]) -> None:
        """Move towards the candidates of the highest values."""
        order = sorted(range(len(values)), key=lambda at: -values[at])[: len(self.w)]
        y = (candidates[order] - self.mean) / self.sigma
        step = (self.w[:, None] * y).sum(0)
        self.generation += 1
        self.mean = self.mean + self.sigma * step
        keep = 1 - self.c_sigma
        self.path_sigma = (
            keep * self.path_sigma
            + math.sqrt(self.c_sigma * (2 - self.c_sigma) * self.mu_eff) * step / self.c.sqrt()
        )
        length = float(self.path_sigma.norm()) / math.sqrt(1 - keep ** (2 * self.generation))
        moving = float(length / self.chi < 1.4 + 2 / (len(self.mean) + 1))
        self.path_c = (1 - self.c_c) * self.path_c + moving * math.sqrt(
            self.c_c * (2 - self.c_c) * self.mu_eff
        ) * step
        lost = (1 - moving) * self.c_c * (2 - self.c_c)
        rank_one = self.path_c**2 + lost * self.c
        rank_mu = (self.w[:, None] * y**2).sum(0)
        self.c = (1 - self.c_1 - self.c_mu) * self.c + self.c_1 * rank_one + self.c_mu * rank_mu
        drift = float(self.path_sigma.norm()) / self.chi - 1
        self.sigma *= math.exp(self.c_sigma / self.damping * drift)

    def state(self) -> dict[str, object]:
        """All that changes."""
        vectors: dict[str, object] = {name: getattr(self, name) for name in VECTORS}
        numbers = {"sigma": self.sigma, "generation": self.generation}
        return vectors | numbers | {"random": self.generator.get_state()}

    def restore(self, state: dict[str, object]) -> None:
        """Go on from what `state` gave."""
        for name in (*VECTORS, "sigma", "generation"):
            setattr(self, name, state[name])
        random = state["random"]
        assert isinstance(random, torch.Tensor)
        self.generator.set_state(random)
