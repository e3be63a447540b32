"""Inception-v3 as FID has it: the 2,048 numbers before its classes.

Szegedy et al. (2016), arXiv 1512.00567, with the weights of 2015-12-05 and the three poolings in
which that net differs from the published one: averages leave padding out, and the last block's
pooling takes the greatest. Layers are named as in the files of pytorch-fid and torch-fidelity.
Pictures come in -1..1, [B, 3, 299, 299].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

EDGE, WIDTH = 299, 2048
EPS = 1e-3
# A convolution: layer, (output channels, input channels), kernel, stride, padding.
Conv: TypeAlias = tuple[str, tuple[int, int], tuple[int, int], int, tuple[int, int]]
Branch: TypeAlias = list[Conv]
Weights: TypeAlias = "Mapping[str, tuple[Tensor, Tensor]]"


def _conv(
    name: str, inside: int, outside: int, kernel: int | tuple[int, int] = 1, stride: int = 1,
    padded: bool = True,
) -> Conv:  # fmt: skip
    k = (kernel, kernel) if isinstance(kernel, int) else kernel
    return name, (outside, inside), k, stride, (k[0] // 2, k[1] // 2) if padded else (0, 0)


STEM = (
    _conv("Conv2d_1a_3x3", 3, 32, 3, 2, padded=False),
    _conv("Conv2d_2a_3x3", 32, 32, 3, padded=False),
    _conv("Conv2d_2b_3x3", 32, 64, 3),
    _conv("Conv2d_3b_1x1", 64, 80),
    _conv("Conv2d_4a_3x3", 80, 192, 3, padded=False),
)


def _square_block(inside: int, pooled: int) -> dict[str, Branch]:
    """Mixed_5*, of 35×35."""
    return {
        "1x1": [_conv("branch1x1", inside, 64)],
        "5x5": [_conv("branch5x5_1", inside, 48), _conv("branch5x5_2", 48, 64, 5)],
        "3x3dbl": [
            _conv("branch3x3dbl_1", inside, 64),
            _conv("branch3x3dbl_2", 64, 96, 3),
            _conv("branch3x3dbl_3", 96, 96, 3),
        ],
        "pool": [_conv("branch_pool", inside, pooled)],
    }


def _long_block(c: int) -> dict[str, Branch]:
    """Mixed_6b to 6e, of 17×17."""
    across, down = (1, 7), (7, 1)
    return {
        "1x1": [_conv("branch1x1", 768, 192)],
        "7x7": [
            _conv("branch7x7_1", 768, c),
            _conv("branch7x7_2", c, c, across),
            _conv("branch7x7_3", c, 192, down),
        ],
        "7x7dbl": [
            _conv("branch7x7dbl_1", 768, c),
            _conv("branch7x7dbl_2", c, c, down),
            _conv("branch7x7dbl_3", c, c, across),
            _conv("branch7x7dbl_4", c, c, down),
            _conv("branch7x7dbl_5", c, 192, across),
        ],
        "pool": [_conv("branch_pool", 768, 192)],
    }


def _wide_block(inside: int) -> dict[str, Branch]:
    """Mixed_7b and 7c, of 8×8. Letters a and b are two ends of one branch, side by side."""
    return {
        "1x1": [_conv("branch1x1", inside, 320)],
        "3x3": [_conv("branch3x3_1", inside, 384)],
        "3x3a": [_conv("branch3x3_2a", 384, 384, (1, 3))],
        "3x3b": [_conv("branch3x3_2b", 384, 384, (3, 1))],
        "3x3dbl": [
            _conv("branch3x3dbl_1", inside, 448),
            _conv("branch3x3dbl_2", 448, 384, 3),
        ],
        "3x3dbla": [_conv("branch3x3dbl_3a", 384, 384, (1, 3))],
        "3x3dblb": [_conv("branch3x3dbl_3b", 384, 384, (3, 1))],
        "pool": [_conv("branch_pool", inside, 192)],
    }


BLOCKS: dict[str, dict[str, Branch]] = {
    "Mixed_5b": _square_block(192, 32),
    "Mixed_5c": _square_block(256, 64),
    "Mixed_5d": _square_block(288, 64),
    "Mixed_6a": {
        "3x3": [_conv("branch3x3", 288, 384, 3, 2, padded=False)],
        "3x3dbl": [
            _conv("branch3x3dbl_1", 288, 64),
            _conv("branch3x3dbl_2", 64, 96, 3),
            _conv("branch3x3dbl_3", 96, 96, 3, 2, padded=False),
        ],
    },
    "Mixed_6b": _long_block(128),
    "Mixed_6c": _long_block(160),
    "Mixed_6d": _long_block(160),
    "Mixed_6e": _long_block(192),
    "Mixed_7a": {
        "3x3": [_conv("branch3x3_1", 768, 192), _conv("branch3x3_2", 192, 320, 3, 2, padded=False)],
        "7x7x3": [
            _conv("branch7x7x3_1", 768, 192),
            _conv("branch7x7x3_2", 192, 192, (1, 7)),
            _conv("branch7x7x3_3", 192, 192, (7, 1)),
            _conv("branch7x7x3_4", 192, 192, 3, 2, padded=False),
        ],
    },
    "Mixed_7b": _wide_block(1280),
    "Mixed_7c": _wide_block(2048),
}


def layers() -> Iterator[Conv]:
    """Every convolution under its full name."""
    yield from STEM
    for block, branches in BLOCKS.items():
        for branch in branches.values():
            for name, *rest in branch:
                yield (f"{block}.{name}", *rest)  # type: ignore[misc]  # the rest of a Conv


def folded(state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """(weight, bias) of each convolution, with the normalisation after it multiplied in.

    Raises
    ------
    ValueError : a layer is missing or has another shape.
    """
    found = {}
    for name, channels, kernel, _, _ in layers():
        weight = _tensor(state, f"{name}.conv.weight", (*channels, *kernel))
        gain, shift, mean, variance = (
            _tensor(state, f"{name}.bn.{part}", channels[:1])
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / (variance + EPS).sqrt()
        found[name] = (weight * scale[:, None, None, None], shift - mean * scale)
    return found


def _tensor(state: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    if name not in state:
        raise ValueError(f"there is no {name!r}")
    if tuple(state[name].shape) != shape:
        raise ValueError(f"{name!r} has shape {tuple(state[name].shape)}, not {shape}")
    return state[name]


def features(x: Tensor, weights: Weights) -> Tensor:
    """[B, 2048] of [B, 3, H, W] in -1..1; H, W 299 for FID, at least 75."""
    x = stem(x, weights)
    for block in BLOCKS:
        x = block_of(x, block, weights)
    return x.mean((2, 3))


def stem(x: Tensor, weights: Weights) -> Tensor:
    """What comes before the blocks: [B, 192, 35, 35] of [B, 3, 299, 299]."""
    for conv in STEM[:3]:
        x = _apply(x, conv, weights)
    x = F.max_pool2d(x, 3, 2)
    for conv in STEM[3:]:
        x = _apply(x, conv, weights)
    return F.max_pool2d(x, 3, 2)


def block_of(x: Tensor, block: str, weights: Weights) -> Tensor:
    """One of the blocks, its branches side by side."""
    branches = BLOCKS[block]

    def run(y: Tensor, branch: str) -> Tensor:
        for name, *rest in branches[branch]:
            y = _apply(y, (f"{block}.{name}", *rest), weights)  # type: ignore[arg-type]  # a Conv
        return y

    if block in ("Mixed_6a", "Mixed_7a"):
        return torch.cat([*(run(x, name) for name in branches), F.max_pool2d(x, 3, 2)], 1)
    if block in ("Mixed_7b", "Mixed_7c"):
        return torch.cat(_split_branches(x, run, block == "Mixed_7c"), 1)
    return torch.cat([run(_averages(x) if name == "pool" else x, name) for name in branches], 1)


def _split_branches(x: Tensor, run: Callable[[Tensor, str], Tensor], is_last: bool) -> list[Tensor]:
    single, double = run(x, "3x3"), run(x, "3x3dbl")
    pooled = F.max_pool2d(x, 3, 1, 1) if is_last else _averages(x)
    return [
        run(x, "1x1"),
        run(single, "3x3a"),
        run(single, "3x3b"),
        run(double, "3x3dbla"),
        run(double, "3x3dblb"),
        run(pooled, "pool"),
    ]


def _averages(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _apply(x: Tensor, conv: Conv, weights: Weights) -> Tensor:
    name, _, _, stride, padding = conv
    weight, bias = weights[name]
    return F.conv2d(x, weight, bias, stride, padding).relu()
