"""The whole net: encoder, one diffusion step, decoder.

Symbols: u the picture at the size of the result, z its latent, z0 the latent without noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor, nn

from imgtool_sr.pocketsr.config import read_config, write_config
from imgtool_sr.pocketsr.light import LiteDecoder, LiteEncoder, silent
from imgtool_sr.pocketsr.unet import UNet

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool_sr.pocketsr.config import PocketConfig

STEPS: Final = 1000
BETAS: Final = (0.00085, 0.012)
WEIGHTS: Final = "model.safetensors"


def alpha_bar(timestep: int) -> float:
    """Share of the signal's power at a step of Stable Diffusion's schedule."""
    low, high = (beta**0.5 for beta in BETAS)
    beta = torch.linspace(low, high, STEPS, dtype=torch.float64, device="cpu").square()
    return float((1.0 - beta).cumprod(0)[timestep])


def centred(u: Tensor) -> Tensor:
    """0..1 as -1..1, as autoencoders of Stable Diffusion take pictures."""
    return 2.0 * u - 1.0


def one_step(z: Tensor, eps: Tensor, alpha: float) -> Tensor:
    """z0 of a latent and its noise, in float32: DDIM to the end (Song et al. 2021, eq. 9)."""
    return (z.float() - (1.0 - alpha) ** 0.5 * eps.float()) / alpha**0.5


class Denoised(NamedTuple):
    """What encoder and UNet make of u.

    Attributes
    ----------
    z0 : [B, latent, h, w] float32. rich : [B, widths[0], h, w], of the UNet.
    features : of the UNet, one a level.
    """

    z0: Tensor
    rich: Tensor
    features: list[Tensor]


class PocketSR(nn.Module):
    """Restores a picture that was enlarged already.

    Path A takes the latent through the UNet; path B takes a rich feature around the latent, by
    convolutions that start at zero. Sides must be multiples of `config.step`.
    """

    def __init__(self, config: PocketConfig, is_light: bool = True) -> None:
        super().__init__()
        self.config = config
        self.encoder = LiteEncoder(config)
        self.unet = UNet(config, is_light)
        self.decoder = LiteDecoder(config)
        self.inject = silent(nn.Conv2d(config.widths[0], config.widths[0], 1))
        self.alpha = alpha_bar(config.timestep)

    def denoised(self, u: Tensor) -> Denoised:
        """The latent without noise and what it is made of, of [B, 3, H, W] in 0..1."""
        z, rich = self.encoder(centred(u))
        made = self.unet(z, self.inject(rich))
        return Denoised(one_step(z, made.eps, self.alpha), made.rich, made.features)

    def restored(self, u: Tensor) -> tuple[Tensor, Denoised]:
        """[B, 3, H, W], not clamped, of the same in 0..1, and what it is made of."""
        inner = self.denoised(u)
        residual = self.decoder(inner.z0.to(inner.rich.dtype), inner.rich, centred(u))
        return u + residual, inner

    def forward(self, u: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..1 of the same."""
        return self.restored(u)[0].clamp(0.0, 1.0)


def save_pocketsr(model: PocketSR, folder: Path) -> None:
    """Write a light model's weights, half precision, and its `config.json`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    write_config(model.config, folder)


def load_pocketsr(folder: Path) -> PocketSR:
    """The model that `save_pocketsr` wrote, float32, for inference.

    Raises
    ------
    ValueError : the folder holds something else.
    """
    from safetensors.torch import load_file

    config = read_config(folder)
    with torch.device("meta"):
        model = PocketSR(config)
    weights = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    try:
        model.load_state_dict(weights, assign=True)
    except RuntimeError as err:
        raise ValueError(
            f"its weights are not of its config.json: {str(err).splitlines()[1].strip()}"
        ) from err
    model.eval()
    return model
