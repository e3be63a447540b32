"""Distils `tabletop` into a LoRA that draws in one to four steps, by consistency in segments.

As in Luo et al. (2023), arXiv 2310.04378 and 2311.05556, the student learns to say from every
time the same picture that the guided teacher ends with; as in Heek et al. (2024), arXiv 2403.06807,
only at the few times where sampling stops, the teacher going from each to the next in several
steps.
"""

import json
import shutil
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from torch import Tensor

from imgtool_tabletop.training.adapters import adapted_unet, cut_rank, write_adapter
from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.card import Card, Made, data_of, effort_of, write_card
from imgtool_tabletop.training.generator import ADVICE, ExampleSource, build_scheduler
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer

LAYERS = (
    "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out",
    "conv1", "conv2", "conv_shortcut", "time_emb_proj", "conv_in", "conv_out",
)  # fmt: skip
SIGMA_DATA, TIME_SCALE = 0.5, 10.0
"""Of the boundary condition, as `LCMScheduler` has them."""
STOPS = 4
"""Times at which sampling can stop: 999, 749, 499, 249."""
TURBO_ADVICE = {"base": "tabletop", "guidance": 1.0, "steps": STOPS}
CARD = Card(
    "tabletop/turbo",
    "A LoRA with which `tabletop` draws in one to four steps, without guidance.",
    """
from diffusers import LCMScheduler, StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_pretrained(tabletop)
pipe.load_lora_weights(folder)
pipe.scheduler = LCMScheduler.from_pretrained(f"{folder}/scheduler")
picture = pipe("a red cube", num_inference_steps=4, guidance_scale=1).images[0]
""",
    "Consistency at the four times where sampling stops: from each, the student says the picture "
    "that it says from the next, to which the guided teacher goes in three steps. AdamW. Trained "
    "at rank 16, kept at rank 8.",
    "It draws what `tabletop` draws, with less care for left and right, at one, two or four steps; "
    "more steps, other schedulers and guidance were not trained.",
)


@dataclass(frozen=True)
class TurboTraining:
    """Settings.

    rank : while it trains; kept : of the LoRA that is written. guidance : scale at which the
    teacher is followed; the student needs none. substeps : of the teacher from one stop to the
    next. huber : where the loss turns from square to linear.
    """

    rank: int = 16
    kept: int = 8
    batch: int = 32
    guidance: float = ADVICE["guidance"]
    substeps: int = 3
    huber: float = 1e-2
    captions: int = 1
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


@dataclass(frozen=True)
class Teacher:
    """Follows the guided trajectory of the net without its adapter.

    empty : [128, width] text states of no words.
    """

    unet: UNet2DConditionModel
    alphas: Tensor
    empty: Tensor
    guidance: float

    def follow(
        self, noised: Tensor, late: Tensor, early: Tensor, states: Tensor, substeps: int
    ) -> Tensor:
        """[B, C, h, w] at times `early`, from those at `late`, by DDIM; Song et al. (2021)."""
        self.unet.disable_adapters()
        cuts = torch.linspace(0, 1, substeps + 1)
        times = [torch.lerp(late.float(), early.float(), cut).round().long() for cut in cuts]
        for now, then in pairwise(times):
            here, there = Angles.at(now, self.alphas), Angles.at(then, self.alphas)
            picture, noise = picture_and_noise(noised, self._guided(noised, now, states), here)
            noised = there.picture * picture + there.noise * noise
        self.unet.enable_adapters()
        return noised

    def _guided(self, noised: Tensor, times: Tensor, states: Tensor) -> Tensor:
        both = torch.cat((self.empty.expand_as(states), states))
        made = self.unet(noised.repeat(2, 1, 1, 1), times.repeat(2), both).sample.float()
        blind, told = made.chunk(2)
        return blind + self.guidance * (told - blind)


def train_turbo(
    settings: TurboTraining,
    bank: PictureBank,
    teacher_dir: Path,
    clip_dir: Path,
    out_dir: Path,
    work_dir: Path,
    report: Report,
) -> None:
    """Train, resume, and write a folder with a LoRA and how to sample with it."""
    unet = adapted_unet(teacher_dir, LAYERS, settings.rank, settings.seed)
    trainer = Trainer(unet, work_dir, settings.budget, settings.optimiser, report)
    source = ExampleSource(bank, teacher_dir / "vae", clip_dir, settings.captions)
    alphas = build_scheduler().alphas_cumprod
    teacher = Teacher(unet, alphas, source.texts.empty, settings.guidance)
    stride = len(alphas) // STOPS

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        drawn = source.draw(settings.batch, settings.seed, step)
        stops = torch.randint(1, STOPS + 1, (settings.batch,), generator=drawn.generator)
        late = stops * stride - 1
        early = late - stride
        here, there = Angles.at(late, alphas), Angles.at(early, alphas)
        noised = here.picture * drawn.latents + here.noise * drawn.noise
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            moved = teacher.follow(noised, late, early, drawn.states, settings.substeps)
            # At time -1 `moved` is the picture: what the net says there has no part in it.
            said = unet(moved, early.clamp(min=0), drawn.states).sample.float()
        with torch.autocast("cpu", torch.bfloat16):
            velocity = unet(noised, late, drawn.states).sample.float()
        seen = consistent(noised, picture_and_noise(noised, velocity, here)[0], late)
        wanted = consistent(moved, picture_and_noise(moved, said, there)[0], early)
        apart = (seen - wanted).square()
        value = ((apart + settings.huber**2).sqrt() - settings.huber).mean()
        return value, {"square": float(apart.detach().mean())}

    trainer.run(loss)
    with trainer.averaged():
        cut_rank(unet, settings.kept)
        write_turbo(unet, out_dir, settings.kept)
    made = Made(data_of(bank), effort_of(trainer, settings.batch), {}, {})
    write_card(CARD, made, out_dir)


def write_turbo(unet: UNet2DConditionModel, out_dir: Path, rank: int) -> None:
    """Write the LoRA, cut to `rank`, and how to sample with it."""
    fresh = out_dir.with_name(out_dir.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    write_adapter(unet, fresh, rank)
    sampler = LCMScheduler.from_config(build_scheduler().config, original_inference_steps=STOPS)
    sampler.save_pretrained(fresh / "scheduler")
    (fresh / "imgtool.json").write_text(json.dumps(TURBO_ADVICE, sort_keys=True) + "\n")
    shutil.rmtree(out_dir, ignore_errors=True)
    fresh.replace(out_dir)
