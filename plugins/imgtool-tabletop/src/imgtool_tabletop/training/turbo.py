"""Distils `tabletop` into a LoRA that draws in one to four steps: latent consistency.

Luo et al. (2023), arXiv 2310.04378 and 2311.05556: along the guided trajectory of the teacher, the
student must say the same picture at neighbouring times.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.generator import CaptionSource, LatentSource, build_scheduler
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer

LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out",
          "conv1", "conv2", "conv_shortcut", "time_emb_proj", "conv_in", "conv_out")  # fmt: skip
SIGMA_DATA, TIME_SCALE = 0.5, 10.0
"""Of the boundary condition, as `LCMScheduler` has them."""


@dataclass(frozen=True)
class TurboTraining:
    """Settings.

    guidance : scale at which the teacher is followed; the student takes none. points : times at
    which a trajectory is cut, as `LCMScheduler.original_inference_steps`. huber : where the loss
    turns from square to linear.
    """

    rank: int = 16
    batch: int = 32
    guidance: float = 3.0
    points: int = 50
    huber: float = 1e-3
    captions: int = 2
    seed: int = 0
    budget: Budget = field(default_factory=lambda: Budget(seconds=1800.0))
    optimiser: Optimiser = field(
        default_factory=lambda: Optimiser(rate=1e-3, warmup_steps=50, ema_half_life=100)
    )


@dataclass(frozen=True)
class Angles:
    """Shares of picture and noise at times [B], each [B, 1, 1, 1]; time -1 is the picture."""

    picture: Tensor
    noise: Tensor

    @classmethod
    def at(cls, times: Tensor, alphas: Tensor) -> "Angles":
        """Of times -1..999, for cumulated `alphas` [1000]."""
        kept = torch.where(times < 0, torch.ones(()), alphas[times.clamp(min=0)])
        return cls(kept.sqrt()[:, None, None, None], (1 - kept).sqrt()[:, None, None, None])


def picture_and_noise(noised: Tensor, velocity: Tensor, at: Angles) -> tuple[Tensor, Tensor]:
    """What a velocity says of both; Salimans & Ho (2022), appendix D."""
    return at.picture * noised - at.noise * velocity, at.picture * velocity + at.noise * noised


def consistent(noised: Tensor, picture: Tensor, times: Tensor) -> Tensor:
    """Song et al. (2023), eq. 5: the picture itself at time 0, what the net says later."""
    scaled = times.clamp(min=0)[:, None, None, None] * TIME_SCALE
    skip = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
    return skip * noised + scaled / (scaled**2 + SIGMA_DATA**2).sqrt() * picture


def train_turbo(
    settings: TurboTraining,
    bank: PictureBank,
    teacher_dir: Path,
    clip_dir: Path,
    out_dir: Path,
    work_dir: Path,
    report: Report,
) -> None:
    """Train, resume, and write `pytorch_lora_weights.safetensors`."""
    vae = AutoencoderKL.from_pretrained(teacher_dir / "vae", torch_dtype=torch.float32).eval()
    unet = UNet2DConditionModel.from_pretrained(teacher_dir / "unet", torch_dtype=torch.float32)
    unet.requires_grad_(False)
    torch.manual_seed(settings.seed)
    unet.add_adapter(
        LoraConfig(r=settings.rank, lora_alpha=settings.rank, target_modules=list(LAYERS))
    )
    trainer = Trainer(unet, work_dir, settings.budget, settings.optimiser, report)
    captions, source = CaptionSource(bank, clip_dir), LatentSource(bank, vae)
    source.extend(20 * settings.batch)
    alphas = build_scheduler().alphas_cumprod
    stride = len(alphas) // settings.points

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        source.extend(settings.batch)
        generator = torch.Generator().manual_seed(settings.seed * 7_919 + step)
        rows = torch.randint(0, source.encoded, (settings.batch,), generator=generator)
        variants = torch.randint(0, settings.captions, rows.shape, generator=generator)
        states = captions.states(rows.tolist(), variants.tolist())
        latents = source.latents[rows].float()
        noise = torch.randn(latents.shape, generator=generator)
        cuts = torch.randint(1, settings.points + 1, rows.shape, generator=generator)
        late = cuts * stride - 1
        early = late - stride
        here, there = Angles.at(late, alphas), Angles.at(early, alphas)
        noised = here.picture * latents + here.noise * noise
        with torch.autocast("cpu", torch.bfloat16):
            velocity = unet(noised, late, states).sample
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            unet.disable_adapters()
            guided = _guided(unet, noised, late, states, captions.empty, settings.guidance)
            unet.enable_adapters()
            moved = _moved(noised, guided.float(), here, there)
            # Time -1 is the picture: what the net says there has no part in `consistent`.
            target_velocity = unet(moved, early.clamp(min=0), states).sample
        seen, _ = picture_and_noise(noised, velocity.float(), here)
        wanted, _ = picture_and_noise(moved, target_velocity.float(), there)
        apart = consistent(noised, seen, late) - consistent(moved, wanted, early)
        value = ((apart.square() + settings.huber**2).sqrt() - settings.huber).mean()
        return value, {"square": float(apart.detach().square().mean())}

    trainer.run(loss)
    with trainer.averaged():
        write_lora(unet, out_dir)


def _guided(
    unet: UNet2DConditionModel,
    noised: Tensor,
    times: Tensor,
    states: Tensor,
    empty: Tensor,
    guidance: float,
) -> Tensor:
    both = torch.cat((empty.expand_as(states), states))
    blind, told = unet(noised.repeat(2, 1, 1, 1), times.repeat(2), both).sample.chunk(2)
    return blind + guidance * (told - blind)


def _moved(noised: Tensor, velocity: Tensor, here: Angles, there: Angles) -> Tensor:
    """One step of DDIM; Song et al. (2021), eq. 12 without noise."""
    picture, noise = picture_and_noise(noised, velocity, here)
    return there.picture * picture + there.noise * noise


def write_lora(unet: UNet2DConditionModel, out_dir: Path) -> None:
    """Write the adapter in half precision, as `load_lora_weights` reads it."""
    layers = {name: value.half() for name, value in get_peft_model_state_dict(unet).items()}
    StableDiffusionPipeline.save_lora_weights(out_dir, unet_lora_layers=layers)
