"""The straight flow from noise to depth, in the paper's symbols.

x0 depth, xT noise, xt = (1 - t/T) x0 + (t/T) xT between them, v = xT - x0 the velocity; t runs from
T down to 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

T: Final = 1000
LOW, HIGH = 0.02, 0.98
"""Quantiles of log depth that become 0 and 1."""
LEAST_SPAN: Final = 1e-6
MIDDLE: Final = 0.5


def timesteps(steps: int) -> list[int]:
    """Steps at which velocity is asked for, from T down."""
    return [round(T - at * (T + 1) / steps) for at in range(steps)]


def normalised(metres: Tensor) -> Tensor:
    """x0 of depths [B, H, W]: log(1 + z) between its quantiles, within -1 and 0.5.

    What is farther than the upper quantile is as far; what is nearer than the lower one may be
    nearer.
    """
    log = metres.log1p()
    ends = torch.tensor((LOW, HIGH), device=log.device)
    low, high = torch.quantile(log.flatten(1), ends, dim=1)[..., None, None]
    return ((log - low) / (high - low).clamp_min(LEAST_SPAN)).clamp(-0.5, 1.0) - MIDDLE


def mixed(x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """xt of [B, …] at steps [B]."""
    return torch.lerp(x0, noise, _share(t, x0))


def depth_of(xt: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """x0 that a velocity says."""
    return xt - _share(t, xt) * v


def sampled(velocity: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int) -> Tensor:
    """x0 from `noise`, [B, …], by Euler's method; `velocity` gets xt and t [B]."""
    xt = noise
    ts = timesteps(steps)
    for at, following in zip(ts, (*ts[1:], 0), strict=True):
        t = torch.full((len(xt),), at, device=xt.device)
        v = velocity(xt, t).float()
        xt = xt + (following - at) / T * v
    return xt


def _share(t: Tensor, like: Tensor) -> Tensor:
    return (t / T).to(like).reshape(-1, *(1,) * (like.ndim - 1))
