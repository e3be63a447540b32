"""Trains `tabletop/mmdit`: a `StableDiffusion3Pipeline` over the family's latents and text tower.

Rectified flow with logit-normal times, as Esser et al. (2024), arXiv 2403.03206. The pipeline asks
for three text encoders: the family's tower is the first and the second, and there is no third, for
which the pipeline puts in `EMPTY_TOKENS` states of zeros.
"""

import copy
import json
import math
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from torch import Tensor
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from imgtool.api import BadParams
from imgtool_tabletop.captions.grammar import caption
from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.card import Card, Made, data_of, effort_of, write_card
from imgtool_tabletop.training.generator import (
    ADVICE,
    CaptionSource,
    Device,
    LatentSource,
    finish_pipeline,
)
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer
from imgtool_tabletop.training.saving import save_half
from imgtool_tabletop.training.turbo import Angles, picture_and_noise

EMPTY_TOKENS = 256
"""States of zeros that the pipeline puts in for its third text encoder."""
CARD = Card(
    "tabletop/mmdit",
    "Draws solids on a table from captions, at 64×64. StableDiffusion3Pipeline with joint "
    "attention of text and picture; its text encoders are the text tower of `tabletop/clip`.",
    """
from diffusers import StableDiffusion3Pipeline

pipe = StableDiffusion3Pipeline.from_pretrained(folder, text_encoder_3=None, tokenizer_3=None)
picture = pipe("a red cube", num_inference_steps=25, guidance_scale=4.5).images[0]
""",
    "AdamW on the error of the flow's velocity over the latents of the autoencoder of `tabletop`, "
    "times logit-normal, a tenth of captions left out.",
    "A small net: it is here so that what is made for joint attention can be tried on a trained "
    "one. `tabletop` draws better.",
)

TAUGHT = replace(
    CARD,
    recipe=f"{CARD.recipe} With a teacher the velocity is not the picture's own but what another "
    "generator over these latents says of it.",
)
"""The card of a net that a teacher taught."""


@dataclass(frozen=True)
class MmditTraining:
    """Settings.

    layers, heads, head_dim : of the transformer, whose width is heads times head_dim. batch :
    pictures a step. empty : share of captions left out, for guidance. captions : different ones a
    picture. whole : share of steps with all of the text's positions; others end soon after the
    longest caption. start : folder of a transformer whose weights training begins with. teacher :
    folder of a generator over the same latents, whose velocities are learned.
    """

    layers: int = 4
    heads: int = 6
    head_dim: int = 16
    batch: int = 64
    empty: float = 0.1
    captions: int = 2
    whole: float = 0.1
    start: Path | None = None
    teacher: Path | None = None
    seed: int = 0
    budget: Budget = field(default_factory=lambda: Budget(seconds=2 * 3600.0, log_every=100))
    optimiser: Optimiser = field(
        default_factory=lambda: Optimiser(rate=1e-3, warmup_steps=300, ema_half_life=300)
    )


def build_transformer(
    settings: MmditTraining, latent_channels: int, text_width: int
) -> SD3Transformer2DModel:
    """An untrained net; a latent pixel is a token. `text_width` is that of both encoders."""
    torch.manual_seed(settings.seed)
    width = settings.heads * settings.head_dim
    return SD3Transformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=latent_channels,
        out_channels=latent_channels,
        num_layers=settings.layers,
        num_attention_heads=settings.heads,
        attention_head_dim=settings.head_dim,
        caption_projection_dim=width,
        joint_attention_dim=text_width,
        pooled_projection_dim=text_width,
        pos_embed_max_size=8,
        qk_norm="rms_norm",
    )


class FoldedJointAttention:
    """Joint attention whose last state of text stands for `count` equal ones.

    Equal keys and values, `count` times, are one of them with log(count) added to its logits.
    """

    def __init__(self, count: int) -> None:
        self.bias = math.log(count)

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: None = None,
    ) -> tuple[Tensor, Tensor]:
        """[B, N, D] states of the picture and [B, M, D] of the text, attended to together.

        In float32: backward is five times as fast on a CPU as in bfloat16.
        """
        pictures, texts = hidden_states, encoder_hidden_states
        query = self._joined(attn, attn.to_q(pictures), attn.add_q_proj(texts), "q")
        key = self._joined(attn, attn.to_k(pictures), attn.add_k_proj(texts), "k")
        value = self._joined(attn, attn.to_v(pictures), attn.add_v_proj(texts), "")
        bias = query.new_zeros(key.shape[2])
        bias[-1] = self.bias
        with torch.autocast(query.device.type, enabled=False):
            made = F.scaled_dot_product_attention(query, key, value, bias[None, None, None])
        made = made.to(pictures.dtype).transpose(1, 2).flatten(2)
        shown, told = made[:, : pictures.shape[1]], made[:, pictures.shape[1] :]
        return attn.to_out[0](shown), told if attn.context_pre_only else attn.to_add_out(told)

    @staticmethod
    def _joined(attn: Attention, picture: Tensor, text: Tensor, norm: str) -> Tensor:
        split = [part.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for part in (picture, text)]
        if norm:
            norms = (getattr(attn, f"norm_{norm}"), getattr(attn, f"norm_added_{norm}"))
            split = [normed(part) for normed, part in zip(norms, split, strict=True)]
        return torch.cat(split, dim=2).float()


class JointTexts:
    """Captions as the pipeline encodes them."""

    def __init__(self, clip_dir: Path, device: Device = "cpu") -> None:
        encoder = CLIPTextModelWithProjection.from_pretrained(clip_dir, dtype=torch.float32)
        self.encoder = encoder.eval().to(device)
        self.tokenizer = CLIPTokenizer.from_pretrained(clip_dir)
        self.width = 2 * self.encoder.config.hidden_size

    @torch.no_grad()
    def encoded(self, texts: list[str], *, whole: bool) -> tuple[Tensor, Tensor]:
        """[B, M + 1, width] states, the last of zeros, and [B, width] pooled.

        M is the number of all positions, or little more than the longest text has. The tower is
        causal, so that states do not depend on the positions left out.
        """
        longest = max(len(ids) for ids in self.tokenizer(texts).input_ids)
        most = self.tokenizer.model_max_length
        tokens = self.tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=most if whole else min(most, -(-longest // 8) * 8),
            return_tensors="pt",
        ).input_ids
        device = self.encoder.device
        with torch.autocast(device.type, torch.bfloat16):
            made = self.encoder(tokens.to(device), output_hidden_states=True)
        states = F.pad(made.hidden_states[-2].repeat(1, 1, 2), (0, 0, 0, 1))
        return states, made.text_embeds.repeat(1, 2)


class Teacher:
    """Says the flow's velocity as a `StableDiffusionPipeline` of v-prediction sees it.

    What was noised by a·latents + s·noise is (a + s) times what a flow has at the time s / (a + s),
    and velocity is noise less latents. A picture's own says what one draw came from; the teacher
    says the mean of all, which is what a net can learn, so that a small batch teaches more.

    Raises
    ------
    BadParams : the generator predicts noise.
    """

    def __init__(self, folder: Path, texts: CaptionSource, device: Device) -> None:
        unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
        self.unet, self.texts = unet.eval().to(device), texts
        scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
        if scheduler.config.prediction_type != "v_prediction":
            raise BadParams(
                f"{str(folder)!r} predicts {scheduler.config.prediction_type}, not velocity",
                "Name a generator that `imgtool train tabletop` made",
            )
        self.alphas = scheduler.alphas_cumprod
        self.times = (1 + (self.alphas / (1 - self.alphas)).sqrt()).reciprocal()
        """[1000] of the flow, rising from 0.03 to 1, at the teacher's."""

    def nearest(self, times: Tensor) -> Tensor:
        """Of the times of the flow that are the teacher's, the nearest to each of [B]."""
        return self.times[self._steps(times)]

    def _steps(self, times: Tensor) -> Tensor:
        return (times[:, None] - self.times).abs().argmin(1)

    @torch.no_grad()
    def velocity(self, noised: Tensor, times: Tensor, rows: Tensor, variants: Tensor) -> Tensor:
        """[B, C, h, w] of what the flow has at the teacher's times [B], for captions of [B]."""
        steps = self._steps(times)
        here = Angles.at(steps, self.alphas)
        scaled = noised * (here.picture + here.noise)
        states = self.texts.states(rows.tolist(), variants.tolist())
        device = self.unet.device
        inputs = (each.to(device) for each in (scaled, steps, states))
        with torch.autocast(device.type, torch.bfloat16):
            made = self.unet(*inputs).sample.float().cpu()
        latents, noise = picture_and_noise(scaled, made, here)
        return noise - latents


def train_mmdit(
    settings: MmditTraining,
    bank: PictureBank,
    vae_dir: Path,
    clip_dir: Path,
    out_dir: Path,
    work_dir: Path,
    report: Report,
    device: Device = "cpu",
) -> None:
    """Train, resume, and write the pipeline folder at the end."""
    vae = AutoencoderKL.from_pretrained(vae_dir, torch_dtype=torch.float32).eval().to(device)
    pictures, texts = LatentSource(bank, vae), JointTexts(clip_dir, device)
    teacher = None
    if settings.teacher:
        teacher = Teacher(settings.teacher, CaptionSource(bank, clip_dir, device), device)
    net = build_transformer(settings, int(vae.config.latent_channels), texts.width)
    if settings.start:
        begun = SD3Transformer2DModel.from_pretrained(settings.start, torch_dtype=torch.float32)
        net.load_state_dict(begun.state_dict())
    report(f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters")
    trainer = Trainer(net, work_dir, settings.budget, settings.optimiser, report, device)
    net.set_attn_processor(FoldedJointAttention(EMPTY_TOKENS))

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        pictures.extend(settings.batch if pictures.encoded else 20 * settings.batch)
        drawn = torch.Generator().manual_seed(settings.seed * 7_919 + step)
        rows = torch.randint(0, pictures.encoded, (settings.batch,), generator=drawn)
        variants = torch.randint(0, settings.captions, rows.shape, generator=drawn)
        variants[torch.rand(rows.shape, generator=drawn) < settings.empty] = -1
        states, pooled = texts.encoded(
            captions_of(bank, rows, variants),
            whole=float(torch.rand((), generator=drawn)) < settings.whole,
        )
        latents = pictures.latents[rows].float()
        noise = torch.randn(latents.shape, generator=drawn)
        sigmas = torch.sigmoid(torch.randn(settings.batch, generator=drawn))
        if teacher:
            sigmas = teacher.nearest(sigmas)
        noised = torch.lerp(latents, noise, sigmas[:, None, None, None])
        wanted = noise - latents
        if teacher:
            wanted = teacher.velocity(noised, sigmas, rows, variants)
        with trainer.precision():
            made = net(noised.to(device), states, pooled, 1000 * sigmas.to(device)).sample
        value = (made.float() - wanted.to(device)).square().mean()
        return value, {"encoded": float(pictures.encoded)}

    trainer.run(loss)
    with trainer.averaged():
        write_mmdit(net, vae_dir, clip_dir, out_dir)
    made = Made(data_of(bank), effort_of(trainer, settings.batch), {}, {})
    write_card(TAUGHT if teacher else CARD, made, out_dir)


def captions_of(bank: PictureBank, rows: Tensor, variants: Tensor) -> list[str]:
    """Caption `variants[i]` of picture `rows[i]`; -1: no words."""
    pairs = zip(rows.tolist(), variants.tolist(), strict=True)
    return [caption(bank.facts(r), (r, variant)) if variant >= 0 else "" for r, variant in pairs]


def write_mmdit(net: SD3Transformer2DModel, vae_dir: Path, clip_dir: Path, out_dir: Path) -> None:
    """Write a folder that `StableDiffusion3Pipeline.from_pretrained` loads alone."""
    fresh = out_dir.with_name(out_dir.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    copy.deepcopy(net).half().save_pretrained(fresh / "transformer")
    _write_vae(vae_dir, fresh / "vae")
    for suffix in ("", "_2"):
        encoder = CLIPTextModelWithProjection.from_pretrained(clip_dir)
        save_half(encoder, fresh / f"text_encoder{suffix}")
        CLIPTokenizer.from_pretrained(clip_dir).save_pretrained(fresh / f"tokenizer{suffix}")
    FlowMatchEulerDiscreteScheduler(shift=1.0).save_pretrained(fresh / "scheduler")
    index = {
        "_class_name": "StableDiffusion3Pipeline",
        "_diffusers_version": "0.42.1",
        "transformer": ["diffusers", "SD3Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "text_encoder_3": [None, None],
        "tokenizer_3": [None, None],
        "image_encoder": [None, None],
        "feature_extractor": [None, None],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    }
    finish_pipeline(fresh, index, ADVICE, out_dir)


def _write_vae(vae_dir: Path, folder: Path) -> None:
    """A copy with a shift of zero, which this pipeline adds without asking whether there is one."""
    shutil.copytree(vae_dir, folder, ignore=shutil.ignore_patterns("figures.json"))
    config = json.loads((folder / "config.json").read_text())
    config["shift_factor"] = 0.0
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
