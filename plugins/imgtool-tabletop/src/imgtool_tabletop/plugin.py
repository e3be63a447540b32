"""What this plugin registers: models by alias, their trainers, training data, and bench suites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl
from imgtool_tabletop import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterable

VIEWS = ("pairs", "defocus", "cameras", "instances", "edits", "scales", "leaves", "textures")
LICENCE = {"licence": "Apache-2.0", "resolution": "64x64"}
DRAWN = "{objects:.0%} of captions right"
SLID = "{measure at weight -1:.3f} to {measure at weight 1:.3f}"
PAIRS = {
    "finish": ("shine", "matte", "shiny"),
    "light": ("warmth", "morning", "evening"),
    "clutter": ("spots", "empty", "cluttered"),
}
MODELS = (
    (
        "tabletop",
        "tabletop",
        "text-to-image",
        "Solids on a table, 64×64, StableDiffusionPipeline",
        DRAWN,
    ),
    (
        "tabletop/turbo",
        "turbo",
        "text-to-image",
        "The generator in one to four steps, a LoRA for it",
        DRAWN,
    ),
    (
        "tabletop/mmdit",
        "mmdit",
        "text-to-image",
        "Solids on a table, 64×64, StableDiffusion3Pipeline with joint attention",
        DRAWN,
    ),
    (
        "tabletop/clip",
        "clip",
        "image-text-similarity",
        "Pictures and captions of the tabletop world in one space, CLIPModel",
        "{retrieval_top1:.0%} of captions found",
    ),
    (
        "tabletop/judge",
        "judge",
        "object-detection",
        "Reads solids from pictures; trained on renders alone",
        "{accuracy:.0%} of pictures read",
    ),
    (
        "tabletop/vlm",
        "vlm",
        "image-text-to-text",
        "Says what is in a picture and answers questions",
        "{caption_objects:.0%} of captions right",
    ),
    (
        "tabletop/depth",
        "depth",
        "depth-estimation",
        "Metres to what each pixel shows",
        "AbsRel {abs_rel:.3f}",
    ),
    (
        "tabletop/ppd",
        "ppd",
        "depth-estimation",
        "Depth by a flow in pixels, up to scale and shift: sharp at edges",
        "{flying:.0%} of edge points fly",
    ),
    (
        "tabletop/aesthetic",
        "aesthetic",
        "aesthetic-head",
        "Scores pictures by a written preference",
        "Spearman {spearman_renders:.2f}",
    ),
    (
        "tabletop/writer",
        "writer",
        "text-generation",
        "Plans pictures of captions, a causal language model",
        "{kept:.0%} of plans keep all",
    ),
    *(
        (
            f"tabletop/lora-{end}",
            f"lora-{pair}/{end}",
            "lora",
            f"More {end} with positive weights, a LoRA for the generator",
            f"{measure} {SLID}",
        )
        for pair, (measure, *ends) in PAIRS.items()
        for end in ends
    ),
)
"""Alias, folder, task, summary, and quality; those whose folder is not there are not listed."""


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The family."""
    yield from _models()
    for name, attribute in (
        ("train.tabletop", "TrainGenerator"),
        ("train.tabletop/clip", "TrainClip"),
        ("train.tabletop/vae", "TrainVae"),
        ("train.tabletop/judge", "TrainJudge"),
        ("train.tabletop/vlm", "TrainVlm"),
        ("train.tabletop/depth", "TrainDepth"),
        ("train.tabletop/aesthetic", "TrainAesthetic"),
        ("train.tabletop/writer", "TrainWriter"),
        ("train.tabletop/turbo", "TrainTurbo"),
        ("train.tabletop/mmdit", "TrainMmdit"),
        ("train.tabletop/lora-finish", "TrainFinish"),
        ("train.tabletop/lora-light", "TrainLight"),
        ("train.tabletop/lora-clutter", "TrainClutter"),
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
    for kind, attribute, summary in (
        ("training-loops", "Loops", "Training loops that resume, with logs and plots"),
        ("picture-pairs", "picture_pairs", "Sharp pictures and small ones of the same thing"),
        ("photographs", "photographs", "Pictures through lenses of deep or shallow focus"),
        ("subjects", "subjects", "Scenes, and where along the axis their solids are"),
        ("picture-depths", "picture_depths", "Pictures of scenes with their exact depth"),
    ):
        yield Component(kind, "tabletop", f"imgtool_tabletop.shared:{attribute}", summary)
    for name, summary in (
        ("vlm", "Captions and answers on held-out scenes of the tabletop world"),
        ("depth", "Errors of depth on held-out scenes of the tabletop world"),
        ("aesthetic", "Agreement of aesthetic heads with the tabletop world's preference"),
    ):
        yield Component(
            "bench", f"tabletop/{name}", f"imgtool_tabletop.bench_models:{name}", summary
        )


def _models() -> Iterable[Component]:
    """The models whose weights this distribution holds."""
    for name, folder, task, summary, quality in MODELS:
        if (WEIGHTS / folder).is_dir():
            meta = {"task": task, "quality": quality, **LICENCE}
            where = f"imgtool_tabletop:weights/{folder}"
            yield Component("model", name, where, summary, meta)
