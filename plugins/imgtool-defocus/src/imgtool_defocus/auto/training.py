"""Trains a focus network from photographs that do not belong together: sharp ones to be blurred
where it does not look, and ones of shallow depth of field to look like.

First the network learns saliency from masks of subjects, as the one that it follows does. A net
learns to remove noise from photographs of shallow depth of field, told their lens. Then the
network, a critic and a copy of that net for what is made learn together: every sharp photograph is
blurred by the differentiable lens, focused where the network says, with the aperture of some
photograph of the others.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from imgtool_defocus.auto.critics import SIGMAS, Critic, Denoiser, frozen
from imgtool_defocus.auto.distance import focus_distance
from imgtool_defocus.auto.losses import (
    contrastive,
    convincing,
    denoising,
    distribution_gradient,
    matching,
)
from imgtool_defocus.auto.network import FocusNet
from imgtool_defocus.auto.opened import margin_of, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgtool_defocus.auto.config import Average, FocusConfig
    from imgtool_defocus.auto.photographs import Photographs

MOST_COC: Final = 6.0
"""Widest disc of training, pixels."""
CRITIC_STEPS: Final = 5
"""Steps of the critics for one of the network; Yin et al. (2024)."""
NOISE: Final = 0.03
"""Added to what the critic sees: rays leave some in real pictures that blurred ones lack."""


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
    steps : with masks, of the teacher, and through the lens. rates : of learning, likewise.
    batch, crop : pictures a step, and the side of what of each goes through the lens, pixels.
    average : of depth, by which the network's saliency says the distance in focus.
    matching, adversarial : weights of the two losses. prior : of the squared logarithm of f_s:
        without it f_s drifts to where the lens blurs nothing, and no gradient leads back.
    scales : depth is multiplied by up to this or its inverse, which the network has to undo.
    """

    steps: tuple[int, int, int]
    rates: tuple[float, float, float] = (2e-3, 2e-3, 3e-4)
    batch: int = 8
    crop: int = 32
    seed: int = 1
    average: Average = "disparity"
    matching: float = 1.0
    adversarial: float = 1.0
    prior: float = 0.1
    scales: float = 1.5
    log_every: int = 50


class Blurred(NamedTuple):
    """What the lens makes of photographs, and what it was set to.

    Attributes
    ----------
    code : [B, 3, crop, crop]. coc : [B, ·, ·], pixels. focus_m, scale : [B].
    scale_error : [B], what f_s leaves of the factor that depth was multiplied by.
    """

    code: Tensor
    coc: Tensor
    focus_m: Tensor
    scale: Tensor
    scale_error: Tensor


@dataclass(frozen=True)
class Sets:
    """What there is to train on; every picture with its depth.

    Attributes
    ----------
    masked : with `subject`, [S, S], 1 on what to focus on. deep : all in focus.
    shallow : with `strength`, K of the lens; no need of depth.
    """

    masked: Photographs
    deep: Photographs
    shallow: Photographs


class FocusTraining:
    """Trains a network of a config."""

    def __init__(
        self, config: FocusConfig, settings: Training, sets: Sets, loops: Loops, device: str
    ) -> None:
        self.config, self.settings, self.loops, self.sets = config, settings, loops, sets
        self.device = torch.device(device)

    def saliency(self) -> FocusNet:
        """The network as masks teach it."""
        torch.manual_seed(self.settings.seed)
        net = FocusNet(self.config).to(self.device)

        def loss(step: int) -> tuple[Tensor, dict[str, float]]:
            settings = self.settings
            drawn = self.sets.masked.batch(settings.seed, step, 2 * settings.batch)
            image, depth, subject = (
                drawn[name].to(self.device) for name in ("image", "depth", "subject")
            )
            m, _ = net(image, depth)
            wrong = binary_cross_entropy_with_logits(m, subject.float())
            right = ((m > 0) == (subject > 0)).float().mean()
            return wrong, {"right": float(right)}

        self._train("1-saliency", 0, net, loss)
        return net

    def teacher(self) -> Denoiser:
        """The net that knows photographs of shallow depth of field."""
        torch.manual_seed(self.settings.seed)
        net = Denoiser().to(self.device)

        def loss(step: int) -> tuple[Tensor, dict[str, float]]:
            generator = self._generator(step)
            real, k = self._real(step, generator)
            sigma, noise = _noise(real, generator)
            return denoising(net(real + noise, sigma, k), real, sigma), {}

        self._train("2-teacher", 1, net, loss)
        return net.requires_grad_(False)

    def through_lens(self, net: FocusNet, teacher: Denoiser) -> None:
        """Train `net` further."""
        torch.manual_seed(self.settings.seed)
        critic = Critic()
        fake = copy.deepcopy(teacher).requires_grad_(True)
        nets = nn.ModuleList((net, critic, fake)).to(self.device)

        def loss(step: int) -> tuple[Tensor, dict[str, float]]:
            settings, generator = self.settings, self._generator(step)
            is_turn = step % CRITIC_STEPS == CRITIC_STEPS - 1
            real, real_k = self._real(step, generator)
            k = real_k.roll(1)
            with torch.set_grad_enabled(is_turn):
                made = self.blurred(net, step, k, generator)
            x = made.code
            sigma, noise = _noise(x, generator)
            x_fake = fake((x + noise).detach(), sigma, k)
            seen = x + NOISE * _normal(x, generator)
            real = real + NOISE * _normal(x, generator)
            parts = {
                "fake": denoising(x_fake, x.detach(), sigma),
                "critic": contrastive(critic, real, real_k, k, seen.detach(), k),
            }
            total = parts["fake"] + parts["critic"]
            if is_turn:
                x_real = teacher((x + noise).detach(), sigma, k)
                parts["matching"] = matching(x, distribution_gradient(x, x_real, x_fake))
                parts["convincing"] = convincing(frozen(critic), seen, k)
                total = total + settings.matching * parts["matching"]
                total = total + settings.adversarial * parts["convincing"]
                total = total + settings.prior * made.scale.log().square().mean()
            figures = {name: float(value.detach()) for name, value in parts.items()}
            return total, figures | _state(made)

        self._train("3-lens", 2, nets, loss)

    def blurred(self, net: FocusNet, step: int, k: Tensor, generator: torch.Generator) -> Blurred:
        """Sharp photographs through lenses of strength exp(k), focused where `net` looks."""
        settings = self.settings
        drawn = self.sets.deep.batch(settings.seed, step, settings.batch)
        code, depth = drawn["image"].to(self.device), drawn["depth"].to(self.device)
        spread = math.log(settings.scales)
        wrong = ((2.0 * torch.rand(len(depth), generator=generator) - 1.0) * spread).exp()
        depth = depth * wrong.to(self.device)[:, None, None]
        looked = net(code, depth)
        focus_m = focus_distance(looked.m, depth, settings.average)
        inverse = 1.0 / focus_m[:, None, None] - 1.0 / depth
        coc = (k.exp() / looked.scale)[:, None, None] * inverse
        code, coc = _cropped((code, coc), settings.crop + 2 * margin_of(MOST_COC), generator)
        left = looked.scale.detach() * wrong.to(self.device)
        made = opened(code, coc, MOST_COC)
        return Blurred(made, coc.detach(), focus_m.detach(), looked.scale, left)

    def _real(self, step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Crops of photographs of shallow depth of field, and k of their lenses."""
        settings = self.settings
        drawn = self.sets.shallow.batch(settings.seed, step, settings.batch)
        (real,) = _cropped((drawn["image"],), settings.crop, generator)
        return real.to(self.device), drawn["strength"].log().to(self.device)

    def _generator(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)

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


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator).to(like.device)


def _noise(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Levels of noise, [B], even in their logarithm, and noise of each picture's level."""
    low, high = (math.log(sigma) for sigma in SIGMAS)
    sigma = (low + (high - low) * torch.rand(len(x), generator=generator)).exp().to(x.device)
    return sigma, sigma[:, None, None, None] * _normal(x, generator)


def _cropped(
    planes: tuple[Tensor, ...], size: int, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """The same square of each, another for each picture."""
    height, width = planes[0].shape[-2:]
    count = len(planes[0])
    tops = torch.randint(height - size + 1, (count,), generator=generator).tolist()
    lefts = torch.randint(width - size + 1, (count,), generator=generator).tolist()
    return tuple(
        torch.stack(
            [
                one[..., top : top + size, left : left + size]
                for one, top, left in zip(plane, tops, lefts, strict=True)
            ]
        )
        for plane in planes
    )


def _state(made: Blurred) -> dict[str, float]:
    """Signs of a collapse: how far distances differ, how wide discs are, how many blur nothing."""
    return {
        "focus_spread": float(made.focus_m.log().std()),
        "mean_coc": float(made.coc.abs().mean()),
        "sharp": float((made.coc.abs() <= 1.0).float().mean()),
        "scale_error": float(made.scale_error.log().abs().mean()),
    }
