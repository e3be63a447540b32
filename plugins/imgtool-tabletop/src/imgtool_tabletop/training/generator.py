"""Trains `tabletop`: a `StableDiffusionPipeline` over the family's latents and text tower."""

import copy
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from imgtool_tabletop.captions.grammar import caption
from imgtool_tabletop.own_captions import own_captions
from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.card import Card, Made, data_of, effort_of, write_card
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer
from imgtool_tabletop.training.saving import save_half

Device = torch.device | str
ADVICE: dict[str, Any] = {"steps": 25, "guidance": 4.5}
"""What `imgtool generate` uses where the user says nothing."""
CARD = Card(
    "tabletop",
    "Draws solids on a table from captions, at 64×64. StableDiffusionPipeline with v-prediction "
    "and zero terminal SNR; its text encoder is the text tower of `tabletop/clip`.",
    """
from diffusers import StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_pretrained(folder)
picture = pipe("a red cube", num_inference_steps=25, guidance_scale=4.5).images[0]
""",
    "AdamW on the error of v over the latents of a frozen autoencoder, times mostly logit-normal, "
    "a tenth of captions left out.",
    "It draws one or two solids in the words of the tabletop's captions. It draws three and four "
    "as one or two, and seldom gets all of a long prompt.",
)


@dataclass(frozen=True)
class GeneratorTraining:
    """Settings.

    widths : channels at 8×8 and 4×4. empty : share of captions left out, for guidance. captions :
    different ones a picture; each is encoded once and kept (32 KiB). start : `unet` folder whose
    weights training begins with; empty: random ones.
    """

    widths: tuple[int, int] = (96, 128)
    layers: int = 1
    head_dim: int = 32
    batch: int = 64
    empty: float = 0.1
    captions: int = 2
    start: Path | None = None
    seed: int = 0
    budget: Budget = field(default_factory=lambda: Budget(seconds=2 * 3600.0, log_every=100))
    optimiser: Optimiser = field(
        default_factory=lambda: Optimiser(rate=6e-4, warmup_steps=300, ema_half_life=200)
    )


def build_scheduler() -> DDIMScheduler:
    """v-prediction with zero terminal SNR: Lin et al. (2024), arXiv 2305.08891."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def build_unet(
    settings: GeneratorTraining, latent_channels: int, text_width: int
) -> UNet2DConditionModel:
    """An untrained net with cross-attention at both resolutions."""
    torch.manual_seed(settings.seed)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=settings.widths,
        layers_per_block=settings.layers,
        cross_attention_dim=text_width,
        attention_head_dim=tuple(width // settings.head_dim for width in settings.widths),
        norm_num_groups=32,
    )


class LatentSource:
    """Latents of a bank's pictures; each picture is encoded once, when first met."""

    def __init__(self, bank: PictureBank, vae: AutoencoderKL) -> None:
        self.bank, self.vae = bank, vae
        self.latents = torch.empty(bank.count, 8, 8, 8, dtype=torch.float16)
        self.encoded = 0

    @torch.no_grad()
    def extend(self, most: int) -> None:
        """Encode up to `most` pictures that were rendered since."""
        stop = min(self.bank.filled(), self.encoded + most)
        while self.encoded < stop:
            rows = slice(self.encoded, min(self.encoded + 64, stop))
            pictures = (
                torch.from_numpy(self.bank.reader()[rows].copy()).float().div_(127.5).sub_(1.0)
            )
            with torch.autocast(self.vae.device.type, torch.bfloat16):
                posterior = self.vae.encode(pictures.to(self.vae.device)).latent_dist
            self.latents[rows] = (posterior.mean.float() * self.vae.config.scaling_factor).half()
            self.encoded = rows.stop


class CaptionSource:
    """Text states of a bank's captions; each caption is encoded once, when first met."""

    def __init__(self, bank: PictureBank, clip_dir: Path, device: Device = "cpu") -> None:
        self.bank = bank
        encoder = CLIPTextModel.from_pretrained(clip_dir, dtype=torch.float32)
        self.encoder = encoder.eval().to(device)
        self.tokenizer = CLIPTokenizer.from_pretrained(clip_dir)
        self.width = self.encoder.config.hidden_size
        self.empty = self._encode([""])[0]
        self.known: dict[tuple[int, int], Tensor] = {}

    @torch.no_grad()
    def _encode(self, texts: list[str]) -> Tensor:
        tokens = self.tokenizer(
            texts, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        device = self.encoder.device
        with torch.autocast(device.type, torch.bfloat16):
            return self.encoder(tokens.to(device)).last_hidden_state.to("cpu", torch.bfloat16)  # type: ignore[no-any-return]

    def states(self, rows: list[int], variants: list[int]) -> Tensor:
        """[B, 128, width] bfloat16: caption `variants[i]` of picture `rows[i]`; -1: no words."""
        pairs = list(zip(rows, variants, strict=True))
        fresh = sorted({p for p in pairs if p[1] >= 0 and p not in self.known})
        if fresh:
            texts = [caption(self.bank.facts(row), (row, variant)) for row, variant in fresh]
            self.known.update(zip(fresh, self._encode(texts).unbind(), strict=True))
        return torch.stack([self.known[p] if p[1] >= 0 else self.empty for p in pairs])


@dataclass(frozen=True)
class Examples:
    """What one step trains on.

    latents, noise : [B, C, h, w] float32. states : [B, 128, width] bfloat16, of the captions.
    generator : for whatever else the step draws.
    """

    latents: Tensor
    noise: Tensor
    states: Tensor
    generator: torch.Generator


class ExampleSource:
    """Draws examples from a bank's pictures and captions; a step's depend on seed and step alone.

    empty : share of captions left out. captions : different ones a picture. device : what encodes
    both; examples are on the CPU.
    """

    def __init__(
        self,
        bank: PictureBank,
        vae_dir: Path,
        clip_dir: Path,
        captions: int,
        empty: float = 0.0,
        device: Device = "cpu",
    ) -> None:
        vae = AutoencoderKL.from_pretrained(vae_dir, torch_dtype=torch.float32).eval().to(device)
        self.channels = int(vae.config.latent_channels)
        self.pictures = LatentSource(bank, vae)
        self.texts = CaptionSource(bank, clip_dir, device)
        self.captions, self.empty = captions, empty

    def draw(self, batch: int, seed: int, step: int) -> Examples:
        """`batch` examples of one step."""
        self.pictures.extend(batch if self.pictures.encoded else 20 * batch)
        generator = torch.Generator().manual_seed(seed * 7_919 + step)
        rows = torch.randint(0, self.pictures.encoded, (batch,), generator=generator)
        return self.of_rows(rows, generator)

    def of_rows(self, rows: Tensor, generator: torch.Generator) -> Examples:
        """Pictures `rows` [B] with captions and noise that `generator` draws."""
        variants = torch.randint(0, self.captions, rows.shape, generator=generator)
        variants[torch.rand(rows.shape, generator=generator) < self.empty] = -1
        latents = self.pictures.latents[rows].float()
        noise = torch.randn(latents.shape, generator=generator)
        states = self.texts.states(rows.tolist(), variants.tolist())
        return Examples(latents, noise, states, generator)


def velocity_pair(
    latents: Tensor, noise: Tensor, times: Tensor, alphas: Tensor
) -> tuple[Tensor, Tensor]:
    """Noised latents and the target v = a·noise - s·latents; Salimans & Ho (2022), eq. 10."""
    a = alphas[times].sqrt()[:, None, None, None]
    s = (1 - alphas[times]).sqrt()[:, None, None, None]
    return a * latents + s * noise, a * noise - s * latents


def draw_times(count: int, generator: torch.Generator) -> Tensor:
    """[count] steps 0..999: mostly logit-normal, Esser et al. (2024), with a uniform tenth.

    The uniform part keeps the last step, where sampling starts, from being left out.
    """
    middle = torch.sigmoid(torch.randn(count, generator=generator) * 1.2 + 0.3)
    spread = torch.rand(count, generator=generator)
    mixed = torch.where(torch.rand(count, generator=generator) < 0.25, spread, middle)
    return (mixed * 1000).long().clamp(0, 999)


def train_generator(
    settings: GeneratorTraining,
    bank: PictureBank,
    vae_dir: Path,
    clip_dir: Path,
    out_dir: Path,
    work_dir: Path,
    report: Report,
    device: Device = "cpu",
    export_every_s: float = 600.0,
) -> None:
    """Train, resume, export now and then, and write the pipeline folder at the end."""
    source = ExampleSource(bank, vae_dir, clip_dir, settings.captions, settings.empty, device)
    unet = build_unet(settings, source.channels, source.texts.width)
    if settings.start:
        begun = UNet2DConditionModel.from_pretrained(settings.start, torch_dtype=torch.float32)
        unet.load_state_dict(begun.state_dict())
    report(f"{sum(p.numel() for p in unet.parameters()) / 1e6:.2f} M parameters")
    trainer = Trainer(unet, work_dir, settings.budget, settings.optimiser, report, device)
    alphas = build_scheduler().alphas_cumprod
    exported = trainer.seconds

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        nonlocal exported
        if trainer.seconds - exported > export_every_s:
            exported = trainer.seconds
            with trainer.averaged():
                write_pipeline(unet, vae_dir, clip_dir, out_dir)
        drawn = source.draw(settings.batch, settings.seed, step)
        times = draw_times(settings.batch, drawn.generator)
        noised, target = velocity_pair(drawn.latents, drawn.noise, times, alphas)
        inputs = (each.to(device) for each in (noised, times, drawn.states))
        with trainer.precision():
            made = unet(*inputs).sample
        value = (made.float() - target.to(device)).square().mean()
        return value, {"encoded": float(source.pictures.encoded)}

    trainer.run(loss)
    with trainer.averaged():
        write_pipeline(unet, vae_dir, clip_dir, out_dir)
    made = Made(data_of(bank), effort_of(trainer, settings.batch), {}, {})
    write_card(CARD, made, out_dir)


def write_pipeline(
    unet: UNet2DConditionModel, vae_dir: Path, clip_dir: Path, out_dir: Path
) -> None:
    """Write a folder that `StableDiffusionPipeline.from_pretrained` loads alone."""
    fresh = out_dir.with_name(out_dir.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    copy.deepcopy(unet).half().save_pretrained(fresh / "unet")
    shutil.copytree(vae_dir, fresh / "vae", ignore=shutil.ignore_patterns("figures.json"))
    save_half(CLIPTextModel.from_pretrained(clip_dir), fresh / "text_encoder")
    CLIPTokenizer.from_pretrained(clip_dir).save_pretrained(fresh / "tokenizer")
    build_scheduler().save_pretrained(fresh / "scheduler")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
    }
    finish_pipeline(fresh, index, ADVICE, out_dir)


def finish_pipeline(
    fresh: Path, index: dict[str, Any], advice: dict[str, Any], out_dir: Path
) -> None:
    """Add captions to calibrate on, advice to `imgtool generate` and diffusers' index; move it."""
    (fresh / "captions.txt").write_text("\n".join(own_captions()) + "\n")
    (fresh / "imgtool.json").write_text(json.dumps(advice, sort_keys=True) + "\n")
    (fresh / "model_index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    shutil.rmtree(out_dir, ignore_errors=True)
    fresh.replace(out_dir)
