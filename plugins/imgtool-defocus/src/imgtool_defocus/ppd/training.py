"""The two stages of training: small pictures, by velocity alone; then pictures of full size, by the
differences between neighbours as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from imgtool_defocus.ppd.flow import MIDDLE, T, mixed, normalised
from imgtool_defocus.ppd.losses import gradient_error, velocity_error
from imgtool_defocus.ppd.net import CascadeTransformer, begun

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgtool_defocus.ppd.config import PpdConfig
    from imgtool_defocus.ppd.pool import Pool
    from imgtool_defocus.ppd.semantics import Prompts

COARSE: Final = 2
"""Sides of pictures are as many times smaller in the first stage."""
FINE_SHARE: Final = 4


class Loops(Protocol):
    """Resumable training loops, as a component of the kind `training-loops` offers them."""

    def trained(
        self,
        name: str,
        model: nn.Module,
        loss: Callable[[int], tuple[Tensor, dict[str, float]]],
        *,
        steps: int,
        rate: float,
        log_every: int,
    ) -> None:
        """Train `model` to the end, going on where it was stopped; it then has average weights."""


@dataclass(frozen=True)
class Training:
    """Settings.

    Attributes
    ----------
    steps : of the two stages. rates : of learning, likewise. batch : pictures a step.
    gradient : weight of differences between neighbours in the second stage.
    """

    steps: tuple[int, int]
    rates: tuple[float, float] = (2e-3, 1e-3)
    batch: int = 16
    seed: int = 1
    gradient: float = 0.2
    log_every: int = 50


class PpdTraining:
    """Trains a net of a config on a pool of pictures."""

    def __init__(
        self,
        config: PpdConfig,
        settings: Training,
        pool: Pool,
        prompts: Prompts,
        loops: Loops,
        device: torch.device,
    ) -> None:
        self.config, self.settings, self.pool = config, settings, pool
        self.prompts, self.loops, self.device = prompts, loops, device

    def trained(self) -> CascadeTransformer:
        """The net after both stages."""
        torch.manual_seed(self.settings.seed)
        net = begun(CascadeTransformer(self.config)).to(self.device)
        self._train("1-coarse", 0, net, COARSE, 0.0)
        self._train("2-fine", 1, net, 1, self.settings.gradient)
        return net

    def _train(
        self, name: str, stage: int, net: CascadeTransformer, shrunk: int, gradient: float
    ) -> None:
        settings = self.settings

        def loss(step: int) -> tuple[Tensor, dict[str, float]]:
            rng = np.random.default_rng((settings.seed, stage, step))
            pictures, metres = self.pool.batch(rng, settings.batch)
            x0 = normalised(metres[:, ::shrunk, ::shrunk].to(self.device))[:, None]
            t, noise = self._drawn(rng, x0)
            xt = mixed(x0, noise, t)
            v = self._velocity(net, pictures.to(self.device), xt, t)
            wrong = velocity_error(v, x0, noise)
            if not gradient:
                return wrong, {}
            edges = gradient_error(v, xt, t, x0)
            return wrong + gradient * edges, {"gradient": float(edges.detach())}

        self.loops.trained(
            name, net, loss, steps=settings.steps[stage], rate=settings.rates[stage],
            log_every=settings.log_every,
        )  # fmt: skip

    def _drawn(self, rng: np.random.Generator, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Steps and noise. A regression has neither."""
        if self.config.objective == "regression":
            return x0.new_full((len(x0),), T), torch.zeros_like(x0)
        t = torch.from_numpy(rng.standard_normal(len(x0))).sigmoid().mul(T).round()
        noise = torch.from_numpy(rng.standard_normal(x0.shape, np.float32))
        return t.to(x0), noise.to(self.device)

    def _velocity(self, net: CascadeTransformer, pictures: Tensor, xt: Tensor, t: Tensor) -> Tensor:
        rows, columns = (side // self.config.patch for side in xt.shape[2:])
        e = self.prompts(pictures, rows, columns)
        c = avg_pool2d(pictures, pictures.shape[-1] // xt.shape[-1]) - MIDDLE
        made: Tensor = net(torch.cat((xt, c), dim=1), t, e)
        return made


def side_for(config: PpdConfig) -> int:
    """Side of square pictures of a config's area that both stages cut into whole patches."""
    cell = COARSE * config.patch
    return max(1, round(config.area**0.5 / cell)) * cell


def split(steps: int) -> tuple[int, int]:
    """Steps of the two stages, of `steps` in all: one in four is of the second."""
    fine = max(1, steps // FINE_SHARE)
    return max(1, steps - fine), fine
