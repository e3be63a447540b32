"""Held-out captions with what they say, and pictures of prompts by plain diffusers."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool_tabletop.captions.grammar import caption
from imgtool_tabletop.expecting import SIDES
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world.facts import Facts, ObjectFact, scene_facts

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Case:
    """One held-out prompt and what it says."""

    prompt: str
    objects: tuple[ObjectFact, ...]
    side: tuple[int, str, int] | None


def held_out_cases(count: int, seed: int = 2024) -> list[Case]:
    """Captions of one or two solids, two of three draws of combinations that training never saw.

    The third is of the half of the world that training sees: no single solid is held out.
    """
    cases: list[Case] = []
    index = 0
    while len(cases) < count:
        scene = scene_at(seed, index, held_out=index % 3 != 0)
        index += 1
        if len(scene.solids) > 2:
            continue
        facts = scene_facts(scene)
        prompt = caption(facts, ("evaluate", seed, index))
        cases.append(Case(prompt, facts.objects, _said_side(facts, prompt)))
    return cases


def _said_side(facts: Facts, prompt: str) -> tuple[int, str, int] | None:
    if not re.search(r"\b(left|right)\b", prompt):
        return None
    return next((r for r in sorted(facts.relations) if r[1] in SIDES), None)


def generate_pictures(
    model: Path, prompts: list[str], seed: int, steps: int, guidance: float
) -> "list[Image]":
    """Pictures by plain diffusers, each with a seed of its own."""
    import torch
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )

    pipe = StableDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    pictures: list[Image] = []
    for at in range(0, len(prompts), 20):
        part = prompts[at : at + 20]
        generators = [torch.Generator().manual_seed(seed + at + i) for i in range(len(part))]
        out = pipe(part, num_inference_steps=steps, guidance_scale=guidance, generator=generators)
        pictures += out.images
    return pictures
