"""Prompt agreement of a generator on held-out captions, as the judge reads its pictures."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool_tabletop.captions.grammar import caption
from imgtool_tabletop.judge import Judge, Seen, objects_right, sides_right
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world.facts import Facts, ObjectFact, scene_facts

if TYPE_CHECKING:
    from PIL.Image import Image

SIDES = ("left of", "right of")


@dataclass(frozen=True)
class Case:
    """One held-out prompt and what it says."""

    prompt: str
    objects: tuple[ObjectFact, ...]
    side: tuple[int, str, int] | None


def held_out_cases(count: int, seed: int = 2024) -> list[Case]:
    """Captions of one or two solids; pairs are combinations that training never saw."""
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
    if not any(word in prompt.split() for word in ("left", "right")) and "its left" not in prompt:
        return None
    return next((r for r in sorted(facts.relations) if r[1] in SIDES), None)


@dataclass(frozen=True)
class Agreement:
    """Shares of cases, with the bounds of a 95 % bootstrap interval.

    objects : colour and shape of every object right, none extra. single, double : the same for
    one and for two objects. sides : left or right as said, among cases that say it.
    """

    objects: tuple[float, float, float]
    single: tuple[float, float, float]
    double: tuple[float, float, float]
    sides: tuple[float, float, float]
    cases: int

    def lines(self) -> list[str]:
        """One line a figure."""
        names = ("objects", "single", "double", "sides")
        return [
            f"{name:8} {share:6.1%}  [{low:.1%}, {high:.1%}]"
            for name in names
            for share, low, high in [getattr(self, name)]
        ]


def interval(marks: list[bool], draws: int = 2000) -> tuple[float, float, float]:
    """Mean and its 95 % percentile bootstrap interval; Efron (1979)."""
    if not marks:
        return float("nan"), float("nan"), float("nan")
    rng = random.Random(0)
    means = sorted(sum(rng.choices(marks, k=len(marks))) / len(marks) for _ in range(draws))
    return sum(marks) / len(marks), means[int(draws * 0.025)], means[int(draws * 0.975)]


def agreement(cases: list[Case], seen: list[list[Seen]]) -> Agreement:
    """Figures of pictures as the judge saw them, one list a case."""
    right = [objects_right(s, case.objects) for s, case in zip(seen, cases, strict=True)]
    single = [r for r, case in zip(right, cases, strict=True) if len(case.objects) == 1]
    double = [r for r, case in zip(right, cases, strict=True) if len(case.objects) == 2]
    sides = [
        sides_right(s, case.objects, case.side)
        for s, case in zip(seen, cases, strict=True)
        if case.side is not None
    ]
    return Agreement(
        interval(right), interval(single), interval(double), interval(sides), len(cases)
    )


def generate_pictures(
    model: Path, prompts: list[str], steps: int, guidance: float, seed: int
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


def evaluate(
    model: Path,
    judge_dir: Path,
    count: int = 200,
    steps: int = 25,
    guidance: float = 4.5,
    seed: int = 0,
) -> "tuple[Agreement, list[Case], list[Image]]":
    """Generate for `count` held-out prompts, judge, and return figures, cases and pictures."""
    import numpy as np
    import torch

    cases = held_out_cases(count)
    pictures = generate_pictures(model, [case.prompt for case in cases], steps, guidance, seed)
    stacked = np.stack([np.asarray(picture) for picture in pictures])
    tensor = torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255
    seen = Judge.load(judge_dir).read(tensor)
    return agreement(cases, seen), cases, pictures
