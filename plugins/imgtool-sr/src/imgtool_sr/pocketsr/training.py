"""The two stages of training. First encoder, decoder and a heavy UNet learn to restore, end to end.
Then encoder and decoder are frozen, and the UNet's heavy blocks give way to light ones, which
follow the features of the first stage's net.

In between, every light block is fitted to its heavy one by itself for a few steps.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import torch
from torch import Tensor, nn

from imgtool_sr.pocketsr.annealing import anneal, annealed_blocks, prune, set_lam
from imgtool_sr.pocketsr.losses import LocalFit, distillation, reconstruction
from imgtool_sr.pocketsr.model import PocketSR
from imgtool_sr.pocketsr.quality import psnr

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgtool_sr.pocketsr.annealing import Shape
    from imgtool_sr.pocketsr.config import PocketConfig
    from imgtool_sr.pocketsr.pool import Pool

ANNEALED: Final = 0.7
"""Share of the second stage's steps after which nothing heavy runs."""
FIT_RATE: Final = 1e-3


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
    steps : of the first stage, of fitting light blocks, and of the second stage.
    rates : of learning, likewise. batch, crop : pictures a step, and their sides in pixels.
    feature, latent : weights of distillation beside the reconstruction's 1.
    """

    steps: tuple[int, int, int]
    rates: tuple[float, float, float] = (1e-3, FIT_RATE, 5e-4)
    batch: int = 8
    crop: int = 96
    seed: int = 1
    feature: float = 0.2
    latent: float = 0.2
    shape: Shape = "linear"
    log_every: int = 50


class PocketTraining:
    """Trains a model of a config on a pool of pairs."""

    def __init__(
        self, config: PocketConfig, settings: Training, pool: Pool, loops: Loops, device: str
    ) -> None:
        self.config, self.settings, self.pool, self.loops = config, settings, pool, loops
        self.device = torch.device(device)

    def teacher(self) -> PocketSR:
        """Stage one."""
        torch.manual_seed(self.settings.seed)
        model = PocketSR(self.config, is_light=False)
        model.to(self.device, memory_format=torch.channels_last)

        def loss(step: int) -> tuple[Tensor, dict[str, float]]:
            u, true = self._batch(step)
            made, _ = model.restored(u)
            return reconstruction(made, true), {"gain_db": _gain(made, u, true)}

        self._train("1-teacher", 0, model, loss)
        return model

    def student(self, teacher: PocketSR) -> PocketSR:
        """Stage two: a light model that follows `teacher`, which is left as it is."""
        teacher.requires_grad_(False)
        torch.manual_seed(self.settings.seed)
        model = copy.deepcopy(teacher)
        anneal(model.unet)
        model.to(memory_format=torch.channels_last)
        self._fit(model)
        self._distil(model, teacher)
        prune(model.unet)
        model.unet.is_light = True
        return model

    def _fit(self, model: PocketSR) -> None:
        fit = LocalFit(model.unet)

        def loss(step: int) -> tuple[Tensor, dict[str, float]]:
            with torch.no_grad():
                model.denoised(self._batch(step)[0])
            return fit.taken(), {}

        self._train("2-fit", 1, model, loss)
        fit.close()

    def _distil(self, model: PocketSR, teacher: PocketSR) -> None:
        settings = self.settings
        model.unet.requires_grad_(True)
        for _, block in annealed_blocks(model.unet):
            block.heavy.requires_grad_(False)
        annealing = max(1, round(ANNEALED * settings.steps[2]))

        def loss(step: int) -> tuple[Tensor, dict[str, float]]:
            set_lam(model.unet, step, annealing, settings.shape)
            u, true = self._batch(step)
            with torch.no_grad():
                wanted = teacher.denoised(u)
            made, inner = model.restored(u)
            parts = distillation(inner, wanted)
            total = reconstruction(made, true)
            total = total + settings.feature * parts["features"] + settings.latent * parts["latent"]
            figures = {name: float(value.detach()) for name, value in parts.items()}
            return total, {"gain_db": _gain(made, u, true), **figures}

        self._train("3-student", 2, model, loss)

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        settings = self.settings
        u, true = self.pool.batch(settings.seed, step, settings.batch, settings.crop)
        nhwc = torch.channels_last
        return u.to(self.device, memory_format=nhwc), true.to(self.device, memory_format=nhwc)

    def _train(
        self,
        name: str,
        stage: int,
        model: nn.Module,
        loss: Callable[[int], tuple[Tensor, dict[str, float]]],
    ) -> None:
        settings = self.settings
        self.loops.trained(
            name, model, loss, steps=settings.steps[stage], rate=settings.rates[stage],
            log_every=settings.log_every,
        )  # fmt: skip


def split(steps: int) -> tuple[int, int, int]:
    """Steps of the first stage, of fitting, and of the second stage, of `steps` in all."""
    fitting = max(1, steps // 20)
    first = max(1, (steps - fitting) * 4 // 5)
    return first, fitting, max(1, steps - fitting - first)


@torch.no_grad()
def _gain(made: Tensor, u: Tensor, true: Tensor) -> float:
    """Median, since a level of error costs an even picture many decibels."""
    return float((psnr(made, true) - psnr(u, true)).median())
