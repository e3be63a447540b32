"""LPIPS and DISTS: distances of two pictures in the layers of a classifying net.

The nets are built from the weights themselves, in torchvision's names (`features.N.weight`).
Symbols: x, y pictures [B, 3, H, W]; w weight of each channel; α, β of DISTS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

# Of LPIPS, applied to pictures in -1..1; the net's own mean and deviation carried over.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
C1 = C2 = 1e-6


@dataclass(frozen=True)
class Backbone:
    """Where a net has its layers, by torchvision's indices.

    Attributes
    ----------
    stages : convolutions of each stage; a ReLU follows each, and a stage ends after its last.
    pooled : stages that begin with a pooling.
    pool : edge of that pooling; its stride is 2.
    shapes : (stride, padding) of the convolutions that differ from (1, 1).
    """

    stages: tuple[tuple[int, ...], ...]
    pooled: tuple[int, ...]
    pool: int
    shapes: Mapping[int, tuple[int, int]]


ALEX = Backbone(((0,), (3,), (6,), (8,), (10,)), (1, 2), 3, {0: (4, 2), 3: (1, 2)})
VGG = Backbone(((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)), (1, 2, 3, 4), 2, {})


def backbone_of(weights: Mapping[str, Tensor]) -> Backbone:
    """AlexNet or VGG16, told by the first convolution.

    Raises
    ------
    ValueError : it is neither, or convolutions are missing.
    """
    first = weights.get("features.0.weight")
    if first is None:
        raise ValueError("there is no 'features.0.weight'")
    found = {11: ALEX, 3: VGG}.get(int(first.shape[-1]))
    if found is None:
        raise ValueError("the first convolution is neither AlexNet's nor VGG16's")
    for index in (i for stage in found.stages for i in stage):
        for kind in ("weight", "bias"):
            if f"features.{index}.{kind}" not in weights:
                raise ValueError(f"there is no 'features.{index}.{kind}'")
    return found


def activations(
    x: Tensor, weights: Mapping[str, Tensor], net: Backbone, soft_pool: bool = False
) -> list[Tensor]:
    """The output of each stage. `soft_pool` replaces the greatest value by a blurred length.

    Raises
    ------
    ValueError : the pictures are too small for the net.
    """
    found = []
    for number, stage in enumerate(net.stages):
        if number in net.pooled:
            if not soft_pool:
                _check_room(x, net.pool, 0)
            x = _soft_pool(x) if soft_pool else F.max_pool2d(x, net.pool, 2)
        for index in stage:
            stride, padding = net.shapes.get(index, (1, 1))
            name = f"features.{index}"
            _check_room(x, weights[f"{name}.weight"].shape[-1], padding)
            x = F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, padding)
            x = x.relu()
        found.append(x)
    return found


def _check_room(x: Tensor, window: int, padding: int) -> None:
    if min(x.shape[-2:]) + 2 * padding < window:
        raise ValueError("the picture is too small for this net")


def _soft_pool(x: Tensor) -> Tensor:
    # Ding et al. (2020), section 3.1: root of the Hann-weighted mean square.
    line = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
    window = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x.square(), window, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()


def lpips(x: Tensor, y: Tensor, weights: Mapping[str, Tensor]) -> list[float]:
    """Zhang et al. (2018), arXiv 1801.03924, equation 1, version 0.1.

    Parameters
    ----------
    x, y : 0..1.
    weights : of the net, and `lin{l}.model.1.weight` [1, C, 1, 1] of each layer l.

    Raises
    ------
    ValueError : the pictures are too small for the net.
    """
    net = backbone_of(weights)
    shift, scale = (_channels(values, x) for values in (SHIFT, SCALE))
    pair = [activations((z * 2 - 1 - shift) / scale, weights, net) for z in (x, y)]
    total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for layer, (one, two) in enumerate(zip(*pair, strict=True)):
        difference = (_unit(one) - _unit(two)).square()
        w = weights[f"lin{layer}.model.1.weight"]
        total = total + (difference * w).sum(1).mean((1, 2))
    return total.tolist()  # type: ignore[no-any-return]


def dists(x: Tensor, y: Tensor, weights: Mapping[str, Tensor]) -> list[float]:
    """Ding et al. (2020), arXiv 2004.07728, equations 3 to 6.

    Parameters
    ----------
    x, y : 0..1.
    weights : of VGG16, and `alpha`, `beta` [1, channels of all layers and the picture, 1, 1].
    """
    net = backbone_of(weights)
    mean, std = (_channels(values, x) for values in (MEAN, STD))
    pair = [[z, *activations((z - mean) / std, weights, net, soft_pool=True)] for z in (x, y)]
    widths = [layer.shape[1] for layer in pair[0]]
    alpha, beta = weights["alpha"].flatten(), weights["beta"].flatten()
    total = alpha.sum() + beta.sum()
    kept = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for one, two, a, b in zip(*pair, alpha.split(widths), beta.split(widths), strict=True):
        mean_x, mean_y = one.mean((2, 3)), two.mean((2, 3))
        # Around the means, so that equal pictures are at distance 0 in float32 too.
        one, two = one - mean_x[..., None, None], two - mean_y[..., None, None]
        var_x, var_y = one.square().mean((2, 3)), two.square().mean((2, 3))
        covariance = (one * two).mean((2, 3))
        texture = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
        structure = (2 * covariance + C2) / (var_x + var_y + C2)
        kept = kept + (texture * a + structure * b).sum(1) / total
    return (1 - kept).tolist()  # type: ignore[no-any-return]


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _channels(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]
