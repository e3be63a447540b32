"""`score.all`: several scores over one decoded batch, sharing the models that they have in common.

Models are parameters of their own here, so that a result is not taken for one of other weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import (
    IMAGE,
    PROMPT,
    SOURCE_PROMPT,
    BadParams,
    Help,
    ModelRef,
    Stage,
    optional,
    score,
)
from imgtool_score.asking import QUESTIONS
from imgtool_score.compare import REFERENCE, Reference

# Annotations of parameters are read when the stage is described and checked.
from imgtool_score.consistency import EndpointUrl, Served  # noqa: TC001
from imgtool_score.record import Against, info

if TYPE_CHECKING:
    from imgtool.api import Batch, Runtime

CLIP = ModelRef("image-text-similarity")
# For each metric, which of its parameters take which of ours.
TAKES: dict[str, dict[str, str]] = {
    "clip": {"model": "clip", "tokenizer": "tokenizer", "against": "against"},
    "pick": {"model": "pick", "tokenizer": "tokenizer", "against": "against"},
    "hps": {"model": "hps", "tokenizer": "tokenizer", "against": "against"},
    "aesthetic": {"model": "aesthetic", "head": "head"},
    "imagereward": {"model": "imagereward", "tokenizer": "bert_tokenizer", "against": "against"},
    "tit": {
        "model": "vlm", "embedder": "embedder", "endpoint": "endpoint", "served": "served",
        "against": "against",
    },
    "tit-llm": {
        "model": "vlm", "llm": "llm", "endpoint": "endpoint", "served": "served",
        "against": "against",
    },
    "vqa": {"model": "vlm", "endpoint": "endpoint", "served": "served", "against": "against"},
    "iqa": {"clip": "clip"},
    "psnr": {"reference": "reference"},
    "ssim": {"reference": "reference"},
    "lpips": {"model": "lpips", "reference": "reference"},
    "dists": {"model": "dists", "reference": "reference"},
}  # fmt: skip


@dataclass(frozen=True)
class AllParams:
    """Parameters of `score.all`. An empty model means the metric's own default."""

    metrics: Annotated[
        tuple[str, ...], Help("Metrics as NAME or NAME:key=value,key=value.")
    ] = ("clip", "iqa")  # fmt: skip
    clip: Annotated[str, Help("Model of clip and clipiqa."), CLIP] = ""
    pick: Annotated[str, Help("Model of pick."), CLIP] = ""
    hps: Annotated[str, Help("Model of hps."), CLIP] = ""
    aesthetic: Annotated[str, Help("CLIP under the aesthetic head."), CLIP] = ""
    head: Annotated[str, Help("Aesthetic head."), ModelRef("aesthetic-head")] = ""
    tokenizer: Annotated[str, Help("Tokenizer of the CLIPs."), ModelRef("tokenizer")] = ""
    imagereward: Annotated[str, Help("Model of imagereward."), ModelRef("image-reward")] = ""
    bert_tokenizer: Annotated[
        str, Help("Tokenizer of imagereward."), ModelRef("tokenizer")
    ] = ""  # fmt: skip
    vlm: Annotated[
        str, Help("Model that looks, of tit, tit-llm and vqa."), ModelRef("image-text-to-text")
    ] = ""
    embedder: Annotated[str, Help("Text encoder of tit."), ModelRef("text-embedding")] = ""
    llm: Annotated[str, Help("Judge of tit-llm."), ModelRef("text-generation")] = ""
    lpips: Annotated[str, Help("Net of lpips."), ModelRef("perceptual-distance")] = ""
    dists: Annotated[str, Help("Net of dists."), ModelRef("perceptual-distance")] = ""
    reference: Reference = ""
    endpoint: EndpointUrl = ""
    served: Served = ""
    against: Against = "source_prompt"


class All(Stage[AllParams]):
    """Several metrics of this plugin, one after another; a row that one fails goes on no further.

    Each adds the fields that its own stage adds, so `score.clip` is `score.clip`.
    """

    id, version = "score.all", 1
    summary = "Score by several metrics at once, decoding pictures and running shared models once."
    consumes = (
        IMAGE,
        optional(PROMPT),
        optional(SOURCE_PROMPT),
        optional(REFERENCE),
        optional(QUESTIONS),
    )
    produces = (score("*"), info("*"))

    stages: list[tuple[str, Stage[Any]]]

    def open(self, params: AllParams, runtime: Runtime) -> None:
        """Open every metric.

        Raises
        ------
        BadParams : a metric is unknown, named twice, or cannot be read.
        ModelUnusable, NeedsConsent : a model cannot be loaded, or is not here.
        """
        self.params, self.runtime = params, runtime
        self.stages = []
        wanted = [parsed(text) for text in params.metrics]
        names = [name for name, _ in wanted]
        twice = [name for name in names if names.count(name) > 1]
        if twice or not names:
            raise BadParams(
                f"score.all: {twice[0]!r} is named twice" if twice else "score.all: no metric",
                f"Metrics: {', '.join(TAKES)}",
            )
        try:
            for name, own in wanted:
                stage = runtime.stage(f"score.{name}", **shared(name, params), **own)
                self.stages.append((name, stage))
        except BaseException:
            self.close()
            raise

    def process(self, batch: Batch) -> Batch:
        """The rows with the fields of every metric."""
        for name, stage in self.stages:
            stage.runtime.journal = self.runtime.journal / name
            if len(batch):
                batch = stage.process(batch)
        return batch

    def close(self) -> None:
        """Close every metric."""
        for _, stage in self.stages:
            stage.close()
        self.runtime.release()


def shared(name: str, params: AllParams) -> dict[str, object]:
    """The parameters of a metric that come from ours; those left empty are its own defaults."""
    found = {theirs: getattr(params, ours) for theirs, ours in TAKES[name].items()}
    if found.get("endpoint") and not found["model"]:
        return {theirs: value for theirs, value in found.items() if value or theirs == "model"}
    return {theirs: value for theirs, value in found.items() if value}


def parsed(text: str) -> tuple[str, dict[str, object]]:
    """`iqa:measure=contrast` as name and parameters; values are JSON where they can be.

    Raises
    ------
    BadParams : there is no such metric, a value is missing, or it is one of ours to give.
    """
    name, _, rest = text.partition(":")
    if name not in TAKES:
        raise BadParams(f"score.all: no metric {name!r}", f"Metrics: {', '.join(TAKES)}")
    own: dict[str, object] = {}
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise BadParams(f"score.all: {item!r} in {text!r} is no key=value")
        if key in TAKES[name]:
            option = TAKES[name][key].replace("_", "-")
            raise BadParams(
                f"score.all: {key!r} of {name} is given once for all", f"Give it as --{option}"
            )
        own[key] = _value(value.strip())
    return name, own


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
