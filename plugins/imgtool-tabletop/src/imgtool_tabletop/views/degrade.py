"""Degradation of the second order: blur, resize, noise and JPEG, twice, and a sinc at the end.

Wang et al. (2021), arXiv 2107.10833. `draw` decides everything and says it in a record of plain
numbers; `degrade` does what a record says, so a record replays to the same bytes.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from imgtool_tabletop.views.kernels import blur, gaussian, plateau, sinc
from imgtool_tabletop.views.resize import resize

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

Range = tuple[float, float]
Record = dict[str, Any]
RESIZES: Final = ("area", "bilinear", "bicubic")
KERNELS: Final = ("iso", "aniso", "gen-iso", "gen-aniso", "plateau-iso", "plateau-aniso")
KERNEL_WEIGHTS: Final = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
SINC_SIZE: Final = 21
LUMA: Final = torch.tensor((0.299, 0.587, 0.114))


@dataclass(frozen=True)
class Order:
    """Ranges of one of the two rounds; sigmas of noise are of 255, of blur in pixels.

    up_down_keep : weights. resize : least and greatest factor. blur : chance of any blur.
    """

    up_down_keep: tuple[float, float, float]
    resize: Range
    noise_sigma: Range
    poisson: Range
    jpeg: Range
    blur_sizes: tuple[int, int]
    blur_sigma: Range
    blur: float


@dataclass(frozen=True)
class Preset:
    """Two rounds and what they share; all chances are 0..1."""

    orders: tuple[Order, Order]
    beta: Range
    plateau_beta: Range
    sinc: float = 0.1
    gaussian: float = 0.5
    gray: float = 0.4
    final_sinc: float = 0.8


CLASSIC: Final = Preset(
    (
        Order((0.2, 0.7, 0.1), (0.15, 1.5), (1, 30), (0.05, 3), (30, 95), (7, 21), (0.2, 3), 1.0),
        Order(
            (0.3, 0.4, 0.3), (0.3, 1.2), (1, 25), (0.05, 2.5), (30, 95), (7, 21), (0.2, 1.5), 0.8
        ),
    ),
    beta=(0.5, 4),
    plateau_beta=(1, 2),
)
MILD: Final = Preset(
    (
        Order((0.2, 0.7, 0.1), (0.3, 1.5), (1, 15), (0.05, 2), (60, 95), (7, 21), (0.2, 1.5), 1.0),
        Order((0.3, 0.4, 0.3), (0.6, 1.2), (1, 12), (0.05, 1), (60, 100), (7, 11), (0.2, 1), 0.5),
    ),
    beta=(0.5, 2),
    plateau_beta=(1, 1.5),
)
PRESETS: Final = {"classic": CLASSIC, "mild": MILD}


def draw(preset: Preset, rng: random.Random) -> Record:
    """Everything that `degrade` needs, as JSON values."""
    return {
        "rounds": [_draw_order(preset, order, rng) for order in preset.orders],
        "resize": rng.choice(RESIZES),
        "sinc": _draw_sinc(SINC_SIZE, rng) if rng.random() < preset.final_sinc else None,
        "jpeg_last": rng.random() < 0.5,
    }


def _draw_order(preset: Preset, order: Order, rng: random.Random) -> Record:
    way = rng.choices(("up", "down", "keep"), order.up_down_keep)[0]
    low, high = order.resize
    factors = {"up": (1.0, high), "down": (low, 1.0), "keep": (1.0, 1.0)}
    is_gaussian = rng.random() < preset.gaussian
    return {
        "blur": _draw_kernel(preset, order, rng) if rng.random() < order.blur else None,
        "factor": rng.uniform(*factors[way]),
        "resize": rng.choice(RESIZES),
        "noise": {
            "kind": "gaussian" if is_gaussian else "poisson",
            "scale": rng.uniform(*(order.noise_sigma if is_gaussian else order.poisson)),
            "gray": rng.random() < preset.gray,
            "seed": rng.getrandbits(32),
        },
        "jpeg": rng.randint(round(order.jpeg[0]), round(order.jpeg[1])),
    }


def _draw_kernel(preset: Preset, order: Order, rng: random.Random) -> Record:
    low, high = order.blur_sizes
    size = rng.randrange(low, high + 1, 2)
    if rng.random() < preset.sinc:
        return _draw_sinc(size, rng)
    kind = rng.choices(KERNELS, KERNEL_WEIGHTS)[0]
    wide = rng.uniform(*order.blur_sigma)
    is_iso = kind.endswith("iso") and not kind.endswith("aniso")
    beta = 1.0
    if kind not in ("iso", "aniso"):
        beta_low, beta_high = preset.plateau_beta if kind.startswith("plateau") else preset.beta
        # As often below 1 as above, where the range allows both.
        is_low = rng.random() < 0.5 and beta_low < 1
        beta = rng.uniform(beta_low, 1.0) if is_low else rng.uniform(1.0, beta_high)
    return {
        "kind": kind,
        "size": size,
        "wide": wide,
        "narrow": wide if is_iso else rng.uniform(*order.blur_sigma),
        "turn": 0.0 if is_iso else rng.uniform(-math.pi, math.pi),
        "beta": beta,
    }


def _draw_sinc(size: int, rng: random.Random) -> Record:
    cutoff = rng.uniform(math.pi / 3 if size < 13 else math.pi / 5, math.pi)
    return {"kind": "sinc", "size": size, "cutoff": cutoff}


def degrade(picture: Tensor, height: int, width: int, record: Mapping[str, Any]) -> Tensor:
    """[3, height, width] uint8: what `record` makes of a picture [3, H, W] in 0..1."""
    first, second = record["rounds"]
    x = _round(picture, _scaled(picture.shape[-2:], first["factor"]), first)
    x = _jpeg(x, first["jpeg"])
    x = _round(x, _scaled((height, width), second["factor"]), second)
    if record["jpeg_last"]:
        x = _jpeg(_finished(x, height, width, record), second["jpeg"])
    else:
        x = _finished(_jpeg(x, second["jpeg"]), height, width, record)
    return x.clamp(0, 1).mul(255).round().to(torch.uint8)


def _scaled(size: tuple[int, ...], factor: float) -> tuple[int, int]:
    height, width = (max(1, math.floor(side * factor + 0.5)) for side in size)
    return height, width


def _round(picture: Tensor, size: tuple[int, int], record: Mapping[str, Any]) -> Tensor:
    x = blur(picture, _kernel(record["blur"])) if record["blur"] else picture
    x = resize(x, *size, record["resize"])
    return _noisy(x, record["noise"]).clamp(0, 1)


def _finished(picture: Tensor, height: int, width: int, record: Mapping[str, Any]) -> Tensor:
    x = resize(picture, height, width, record["resize"])
    x = blur(x, _kernel(record["sinc"])) if record["sinc"] else x
    return x.clamp(0, 1)


def _kernel(record: Mapping[str, Any]) -> Tensor:
    if record["kind"] == "sinc":
        return sinc(record["size"], record["cutoff"])
    make = plateau if record["kind"].startswith("plateau") else gaussian
    return make(*(record[name] for name in ("size", "wide", "narrow", "turn", "beta")))


def _noisy(picture: Tensor, record: Mapping[str, Any]) -> Tensor:
    if record["scale"] == 0:
        return picture
    generator = torch.Generator().manual_seed(record["seed"])
    clean = picture.clamp(0, 1)
    if record["kind"] == "gaussian":
        shape = clean[:1].shape if record["gray"] else clean.shape
        return picture + torch.randn(shape, generator=generator) * (record["scale"] / 255.0)
    shown = torch.einsum("c,chw->hw", LUMA, clean)[None] if record["gray"] else clean
    shown = shown.mul(255).round() / 255
    # As many photons at full brightness as the picture has levels, up to a power of two.
    photons = 2.0 ** math.ceil(math.log2(max(2, len(shown.unique()))))
    counted = torch.poisson(shown * photons, generator=generator) / photons
    return picture + (counted - shown) * record["scale"]


def _jpeg(picture: Tensor, quality: int | None) -> Tensor:
    """The picture through a JPEG file of Pillow, 4:2:0; None leaves it as it is."""
    if quality is None:
        return picture
    from PIL import Image

    file = io.BytesIO()
    levels = picture.mul(255).round().to(torch.uint8).permute(1, 2, 0)
    Image.fromarray(levels.numpy()).save(file, "JPEG", quality=quality)
    read = np.asarray(Image.open(file))
    return torch.from_numpy(read.copy()).permute(2, 0, 1) / 255.0


def sharpened(picture: Tensor) -> Tensor:
    """Unsharp masking of a picture [3, H, W] in 0..1, where it has detail."""
    soft = gaussian(51, 8.0, 8.0, 0.0)
    residual = picture - blur(picture, soft)
    share = blur((residual.abs() * 255 > 10).float(), soft)
    return share * (picture + 0.5 * residual).clamp(0, 1) + (1 - share) * picture
