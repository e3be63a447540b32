"""What this plugin registers: models by alias, their trainers, training data, and bench suites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl
from imgtool_tabletop import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterable

VIEWS = ("pairs", "defocus", "cameras", "instances", "edits", "scales", "leaves", "textures")
LICENCE = {"licence": "Apache-2.0", "resolution": "64x64"}


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The family."""
    yield Component(
        "model",
        "tabletop",
        "imgtool_tabletop:weights/tabletop",
        "Solids on a table, 64×64, StableDiffusionPipeline",
        {"task": "text-to-image", **LICENCE},
    )
    yield Component(
        "model",
        "tabletop/clip",
        "imgtool_tabletop:weights/clip",
        "Pictures and captions of the tabletop world in one space, CLIPModel",
        {"task": "image-text-similarity", **LICENCE},
    )
    yield Component(
        "model",
        "tabletop/judge",
        "imgtool_tabletop:weights/judge",
        "Reads solids from pictures; trained on renders alone",
        {"task": "object-detection", **LICENCE},
    )
    yield from _trained_models()
    for name, attribute in (
        ("train.tabletop", "TrainGenerator"),
        ("train.tabletop/clip", "TrainClip"),
        ("train.tabletop/vae", "TrainVae"),
        ("train.tabletop/judge", "TrainJudge"),
        ("train.tabletop/vlm", "TrainVlm"),
        ("train.tabletop/depth", "TrainDepth"),
        ("train.tabletop/aesthetic", "TrainAesthetic"),
        ("train.tabletop/turbo", "TrainTurbo"),
    ):
        yield Component("maker", name, f"imgtool_tabletop.makers:{attribute}")
    for view in VIEWS:
        where = f"imgtool_tabletop.views.makers:{view.title()}Data"
        yield Component("maker", f"data.tabletop/{view}", where)
    yield Component("stage", "render.tabletop", "imgtool_tabletop.stages:Render")
    yield Component("stage", "judge.tabletop", "imgtool_tabletop.stages:JudgePictures")
    for name, attribute, summary in (
        ("tabletop", "skills", "Held-out prompts, a category for each skill"),
        ("tabletop/captions", "captions", "Held-out captions of one or two solids"),
    ):
        yield Component("bench-suite", name, f"imgtool_tabletop.suite:{attribute}", summary)
    yield Component(
        "bench",
        "tabletop",
        "imgtool_tabletop.bench:tabletop",
        "Prompt agreement of a generator on held-out captions of the tabletop world",
    )
    yield Component(
        "prompt-agent",
        "tabletop",
        "imgtool_tabletop.agent.roles:tabletop",
        "Finds errors in pictures of the tabletop world and words captions anew",
    )
    yield Component(
        "extractor",
        "tabletop/judge",
        "imgtool_tabletop.features:judge",
        "What the judge sees in a picture, for bench fid and its like",
    )
    for name, summary in (
        ("vlm", "Captions and answers on held-out scenes of the tabletop world"),
        ("depth", "Errors of depth on held-out scenes of the tabletop world"),
        ("aesthetic", "Agreement of aesthetic heads with the tabletop world's preference"),
    ):
        yield Component(
            "bench", f"tabletop/{name}", f"imgtool_tabletop.bench_models:{name}", summary
        )


def _trained_models() -> Iterable[Component]:
    """Those of the smaller models whose weights this distribution holds."""
    for name, task, summary in (
        ("turbo", "text-to-image", "The generator in one to four steps, a LoRA for it"),
        ("vlm", "image-text-to-text", "Says what is in a picture and answers questions"),
        ("depth", "depth-estimation", "Metres to what each pixel shows"),
        ("aesthetic", "aesthetic-head", "Scores pictures by a written preference"),
    ):
        if (WEIGHTS / name).is_dir():
            where = f"imgtool_tabletop:weights/{name}"
            yield Component("model", f"tabletop/{name}", where, summary, {"task": task, **LICENCE})
