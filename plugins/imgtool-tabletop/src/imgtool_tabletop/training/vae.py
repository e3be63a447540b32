"""Trains the autoencoder of the generator: pictures to 8×8×8 latents and back."""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor
from torch.nn import functional as F

from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer


@dataclass(frozen=True)
class VaeTraining:
    """Settings.

    Attributes
    ----------
    channels : widths from full to lowest resolution, each half the size before.
    teacher : folder of an autoencoder whose latents this one learns to make and to read, so that
        models trained over the teacher's work with it; none: latents of its own.
    measured : pictures that tell the latents' spread and the error at the end.
    """

    channels: tuple[int, ...] = (16, 32, 64, 64)
    teacher: Path | None = None
    latent_channels: int = 8
    batch: int = 8
    kl: float = 1e-6
    edges: float = 0.5
    measured: int = 512
    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    optimiser: Optimiser = field(default_factory=lambda: Optimiser(rate=1e-3, ema_half_life=150))


def build_vae(settings: VaeTraining) -> AutoencoderKL:
    """An untrained autoencoder, deterministic by the settings' seed."""
    torch.manual_seed(settings.seed)
    levels = len(settings.channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=settings.channels,
        layers_per_block=1,
        latent_channels=settings.latent_channels,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
        force_upcast=False,
    )


def bank_batch(bank: PictureBank, seed: int, step: int, size: int) -> tuple[np.ndarray, Tensor]:
    """Indices and pictures [size, 3, 64, 64] in [-1, 1] for one step."""
    rng = np.random.default_rng((seed, step))
    rows = np.sort(rng.integers(0, bank.filled(), size))
    pictures = torch.from_numpy(bank.reader()[rows]).float().div_(127.5).sub_(1.0)
    return rows, pictures


def edge_loss(made: Tensor, true: Tensor) -> Tensor:
    """L1 between horizontal and vertical differences: keeps outlines sharp."""
    across = (made.diff(dim=-1) - true.diff(dim=-1)).abs().mean()
    return across + (made.diff(dim=-2) - true.diff(dim=-2)).abs().mean()


def latent_loss(made: DiagonalGaussianDistribution, true: DiagonalGaussianDistribution) -> Tensor:
    """Share of the latents' variance that is missed, and how far the log of their spread is off."""
    missed = (made.mean.float() - true.mean.float()).square().mean() / true.mean.float().var()
    spread = (made.logvar.float() - true.logvar.float()).square().mean()
    return missed + 0.01 * spread


@torch.no_grad()
def take_over(model: AutoencoderKL, teacher: AutoencoderKL) -> None:
    """Begin with the teacher's weights where the two have a layer of the same shape."""
    theirs = teacher.state_dict()
    for name, weight in model.state_dict().items():
        if name in theirs and theirs[name].shape == weight.shape:
            weight.copy_(theirs[name])


def train_vae(
    settings: VaeTraining, bank: PictureBank, out_dir: Path, work_dir: Path, report: Report
) -> None:
    """Train, resume, and write a diffusers `AutoencoderKL` folder with its scaling factor."""
    model = build_vae(settings)
    teacher = settings.teacher and AutoencoderKL.from_pretrained(settings.teacher).eval()
    if teacher:
        take_over(model, teacher)
    trainer = Trainer(model, work_dir, settings.budget, settings.optimiser, report)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        _, pictures = bank_batch(bank, settings.seed, step, settings.batch)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = model.encode(pictures).latent_dist
            read = posterior
            if teacher:
                with torch.no_grad():
                    read = teacher.encode(pictures).latent_dist
            noise = torch.randn(read.mean.shape, generator=torch.Generator().manual_seed(step))
            made = model.decode(read.mean + read.std * noise).sample
        made = made.float()
        error = made - pictures
        total = (
            error.abs().mean() + error.square().mean() + settings.edges * edge_loss(made, pictures)
        )
        psnr = -10 * torch.log10(error.detach().square().mean() / 4)
        figures = {"psnr": float(psnr)}
        if teacher:
            latents = latent_loss(posterior, read)
            return total + latents, {**figures, "latents": float(latents.detach())}
        kl = posterior.kl().mean()
        return total + settings.kl * kl, {**figures, "kl": float(kl.detach())}

    trainer.run(loss)
    with trainer.averaged():
        write_vae(model, settings, bank, out_dir, teacher)


@torch.no_grad()
def write_vae(
    model: AutoencoderKL,
    settings: VaeTraining,
    bank: PictureBank,
    out_dir: Path,
    teacher: AutoencoderKL | None = None,
) -> None:
    """Write the folder in half precision, with the latents' spread: the teacher's, or measured."""
    _, pictures = bank_batch(bank, settings.seed, -1 % 2**31, settings.measured)
    means = torch.cat([model.encode(part).latent_dist.mean for part in pictures.split(64)])
    scale = teacher.config.scaling_factor if teacher else round(1.0 / float(means.std()), 5)
    model.register_to_config(scaling_factor=scale)
    copy.deepcopy(model).half().save_pretrained(out_dir)
    made = torch.cat(
        [
            F.mse_loss(model.decode(z).sample, p)[None]
            for z, p in zip(means.split(64), pictures.split(64), strict=True)
        ]
    )
    figures = {"psnr_db": round(float(-10 * torch.log10(made.mean() / 4)), 2)}
    (out_dir / "figures.json").write_text(json.dumps(figures) + "\n")
