"""Trains two LoRAs for a pair of attributes, one towards each end, on the frozen `tabletop` net.

As the visual sliders of Gandikota et al. (2023), arXiv 2311.12092: from rendered pairs that differ
in the attribute alone, a LoRA learns its own end at weight 1 and the other end at weight -1, of the
same noise. What the pair has in common cancels; captions do not say the attribute, so prompts need
not either.
"""

import shutil
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from torch import Tensor

from imgtool_tabletop.captions.grammar import caption
from imgtool_tabletop.judge import Judge, objects_right
from imgtool_tabletop.training.adapters import ADAPTER, adapted_unet, cut_rank, write_adapter
from imgtool_tabletop.training.attributes import ATTRIBUTES, Attribute, PairBank
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.training.card import Card, Made, data_of, effort_of, write_card
from imgtool_tabletop.training.generator import (
    ADVICE,
    Examples,
    ExampleSource,
    build_scheduler,
    draw_times,
    velocity_pair,
)
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer
from imgtool_tabletop.world.facts import Facts, scene_facts
from imgtool_tabletop.world.render import render

LAYERS = (
    "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "conv1", "conv2",
)  # fmt: skip
MEASURED_AT = (-1.0, 0.0, 1.0)
"""Weights at which the effect is measured."""


@dataclass(frozen=True)
class LoraTraining:
    """Settings; the budget is that of both LoRAs together.

    rank : while it trains; kept : of the LoRA that is written. batch : pairs a step. empty : share
    of captions left out, since guidance asks the net without words too. measured : held-out
    captions at the end. steps : of sampling them.
    """

    rank: int = 4
    kept: int = 2
    batch: int = 16
    captions: int = 1
    empty: float = 0.25
    seed: int = 0
    measured: int = 24
    steps: int = int(ADVICE["steps"])
    guidance: float = float(ADVICE["guidance"])
    budget: Budget = field(default_factory=Budget)
    optimiser: Optimiser = field(
        default_factory=lambda: Optimiser(rate=3e-3, warmup_steps=10, ema_half_life=20)
    )


class PairSource(ExampleSource):
    """Draws pairs from a bank of them, all that are rendered."""

    def draw_pair(self, batch: int, seed: int, step: int) -> tuple[Examples, Tensor]:
        """`batch` examples with end 0, and latents [B, C, h, w] of the same scenes with end 1."""
        self.pictures.extend(self.pictures.bank.count)
        generator = torch.Generator().manual_seed(seed * 7_919 + step)
        rows = 2 * torch.randint(0, self.pictures.encoded // 2, (batch,), generator=generator)
        examples = self.of_rows(rows, generator)
        return examples, self.pictures.latents[rows + 1].float()


def train_lora(
    settings: LoraTraining,
    bank: PairBank,
    base_dir: Path,
    clip_dir: Path,
    judge_dir: Path,
    out_dir: Path,
    work_dir: Path,
    report: Report,
) -> None:
    """Train one LoRA after the other, resume, measure, and write a folder with a folder of each."""
    source = PairSource(bank, base_dir / "vae", clip_dir, settings.captions, settings.empty)
    attribute = ATTRIBUTES[bank.attribute]
    gauge = Gauge(attribute, settings, base_dir, judge_dir)
    half = replace(settings.budget, seconds=settings.budget.seconds / 2)
    fresh = out_dir.with_name(out_dir.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for end, name in enumerate(attribute.ends):
        unet = adapted_unet(base_dir, LAYERS, settings.rank, settings.seed)
        trainer = Trainer(unet, work_dir / name, half, settings.optimiser, report)
        report(f"{name}: step {trainer.step}")
        trainer.run(partial(slider_loss, unet, source, end, settings))
        with trainer.averaged():
            cut_rank(unet, settings.kept)
            write_adapter(unet, fresh / name, settings.kept)
            figures = gauge.figures(unet)
        for key, value in figures.items():
            report(f"{name}: {key} {value:.4f}")
        effort = effort_of(trainer, 2 * settings.batch)
        made = Made(data_of(bank), effort, figures, {}, _notes(attribute, settings))
        write_card(lora_card(attribute, end), made, fresh / name)
    shutil.rmtree(out_dir, ignore_errors=True)
    fresh.replace(out_dir)


def slider_loss(
    unet: UNet2DConditionModel, source: PairSource, end: int, settings: LoraTraining, step: int
) -> tuple[Tensor, dict[str, float]]:
    """Mean error of v at weight 1 for the picture with `end` and at weight -1 for the other."""
    drawn, others = source.draw_pair(settings.batch, settings.seed, step)
    pair = (drawn.latents, others)
    times = draw_times(settings.batch, drawn.generator)
    alphas = build_scheduler().alphas_cumprod
    losses = []
    for weight, latents in ((1.0, pair[end]), (-1.0, pair[1 - end])):
        noised, target = velocity_pair(latents, drawn.noise, times, alphas)
        unet.set_adapters(ADAPTER, weight)
        with torch.autocast("cpu", torch.bfloat16):
            made = unet(noised, times, drawn.states).sample
        losses.append((made.float() - target).square().mean())
    return torch.stack(losses).mean(), {"own": float(losses[0].detach())}


def silent_cases(attribute: Attribute, count: int, seed: int = 94) -> list[tuple[str, Facts]]:
    """Held-out captions of one or two solids that do not say the attribute, and their facts."""
    cases: list[tuple[str, Facts]] = []
    index = 0
    while len(cases) < count:
        scene = scene_at(seed, index, held_out=index % 3 != 0)
        facts = attribute.silent(scene_facts(scene))
        if len(facts.objects) <= 2:
            cases.append((caption(facts, ("lora", seed, index)), facts))
        index += 1
    return cases


class Gauge:
    """Tells what an attribute's LoRAs do to pictures of held-out captions, always the same noise.

    Figures are the mean of the attribute's measure, and the share of pictures in which the judge
    finds every object right.
    """

    def __init__(
        self, attribute: Attribute, settings: LoraTraining, base_dir: Path, judge_dir: Path
    ) -> None:
        self.attribute, self.settings = attribute, settings
        self.cases = silent_cases(attribute, settings.measured)
        self.judge = Judge.load(judge_dir)
        self.pipe = StableDiffusionPipeline.from_pretrained(base_dir).to(torch.float32)
        self.pipe.set_progress_bar_config(disable=True)

    def figures(self, unet: UNet2DConditionModel) -> dict[str, float]:
        """At each weight of a LoRA, and of renders with either end."""
        found = dict(self.rendered)
        for weight in MEASURED_AT:
            unet.set_adapters(ADAPTER, weight)
            at = self._measured(unet) if weight else self.untouched
            found |= {f"{name} at weight {weight:g}": value for name, value in at.items()}
        return found

    @cached_property
    def untouched(self) -> dict[str, float]:
        """Of the net without a LoRA."""
        return self._measured(self.pipe.unet)

    @cached_property
    def rendered(self) -> dict[str, float]:
        """Of renders with either end."""
        scenes = [scene_at(95, index, held_out=True) for index in range(self.settings.measured)]
        found = {}
        for end, name in enumerate(self.attribute.ends):
            pictures = render([self.attribute.shown(scene, end) for scene in scenes])
            found[f"measure of {name} renders"] = float(self.attribute.measure(pictures).mean())
        return found

    def _measured(self, unet: UNet2DConditionModel) -> dict[str, float]:
        pictures = self._sampled(unet)
        truths = [facts.objects for _, facts in self.cases]
        right = map(objects_right, self.judge.read(pictures), truths)
        return {
            "measure": float(self.attribute.measure(pictures).mean()),
            "objects right": sum(right) / len(truths),
        }

    @torch.no_grad()
    def _sampled(self, unet: UNet2DConditionModel, batch: int = 8) -> Tensor:
        """[B, 3, 64, 64] pictures, 0..1."""
        kept, self.pipe.unet = self.pipe.unet, unet
        made = []
        for at in range(0, len(self.cases), batch):
            part = self.cases[at : at + batch]
            pictures = self.pipe(
                [text for text, _ in part],
                num_inference_steps=self.settings.steps,
                guidance_scale=self.settings.guidance,
                generator=[torch.Generator().manual_seed(at + i) for i in range(len(part))],
                output_type="pt",
            ).images
            made.append(pictures.float())
        self.pipe.unet = kept
        return torch.cat(made)


def _notes(attribute: Attribute, settings: LoraTraining) -> str:
    return (
        f"`measure` is {attribute.measured}; `objects right` the share of pictures in which the "
        f"judge finds just the solids of the caption. Means over {settings.measured} captions of "
        "one or two solids, the same noise at every weight."
    )


def lora_card(attribute: Attribute, end: int) -> Card:
    """The card of the LoRA towards `end`."""
    name, other = attribute.ends[end], attribute.ends[1 - end]
    return Card(
        f"tabletop/lora-{name}",
        f"A LoRA for `tabletop` that makes pictures more {name} at weights above 0 and more "
        f"{other} below. Its partner is `tabletop/lora-{other}`.",
        f"""
from diffusers import StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_pretrained(tabletop)
pipe.load_lora_weights(folder, adapter_name="{name}")
pipe.set_adapters("{name}", 0.8)
picture = pipe("a red sphere", num_inference_steps=25, guidance_scale=4.5).images[0]
""",
        "Pairs of renders that differ in this attribute alone, under one caption that does not "
        "say it and one noise: the LoRA learns one end at weight 1 and the other at weight -1, "
        "the net itself frozen. AdamW on the error of v. Trained at rank 4, kept at rank 2.",
        "It knows what the renderer draws and nothing of other models or pictures. Weights beyond "
        "-1 and 1 were not trained. The measure is one of pixels: it follows the attribute in "
        "renders, and other things too.",
    )
