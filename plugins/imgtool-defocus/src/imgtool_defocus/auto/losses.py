"""Losses of the focus network: distribution matching and a contrastive critic.

Distribution matching: Yin et al. (2024), arXiv 2405.14867. The critic is told the lens of each
picture; a real photograph under another's lens is as wrong as one that was made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import softplus

from imgtool_defocus.auto.critics import SIGMA_DATA

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def denoising(made: Tensor, true: Tensor, sigma: Tensor) -> Tensor:
    """Squared error, every noise level counting alike."""
    weight = (sigma.square() + SIGMA_DATA**2) / (sigma * SIGMA_DATA).square()
    return (weight[:, None, None, None] * (made - true).square()).mean()


@torch.no_grad()
def distribution_gradient(x: Tensor, x_real: Tensor, x_fake: Tensor) -> Tensor:
    """g = ((x - x_real) - (x - x_fake)) / mean |x - x_real|, the mean over each picture.

    `x_real`, `x_fake` are what nets of real and of made pictures take noised `x` for.
    """
    scale = (x - x_real).abs().mean((1, 2, 3), keepdim=True)
    return (x_fake - x_real) / scale.clamp_min(1e-6)


def matching(x: Tensor, gradient: Tensor) -> Tensor:
    """A loss whose gradient in `x`, times the number of pixels, is `gradient`."""
    return 0.5 * (x - (x - gradient).detach()).square().mean()


def convincing(critic: Callable[..., Tensor], x: Tensor, k: Tensor) -> Tensor:
    """The maker's side of the critic's game."""
    return softplus(-critic(x, k)).mean()


def contrastive(
    critic: Callable[..., Tensor], real: Tensor, k: Tensor, wrong_k: Tensor, made: Tensor,
    made_k: Tensor,
) -> Tensor:  # fmt: skip
    """The critic's side: real with its lens, against made with its lens and real with another."""
    mistakes = softplus(critic(made, made_k)).mean() + softplus(critic(real, wrong_k)).mean()
    return softplus(-critic(real, k)).mean() + 0.5 * mistakes
