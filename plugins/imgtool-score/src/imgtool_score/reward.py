"""The stage `score.imagereward`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from imgtool.api import (
    IMAGE,
    PROMPT,
    SOURCE_PROMPT,
    Help,
    ModelRef,
    ModelUnusable,
    Stage,
    optional,
    score,
)
from imgtool_score.record import (
    About,
    Against,
    Scored,
    fingerprint,
    info,
    text_notes,
    texts_against,
    warn_cut,
    with_scores,
)

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.api import Batch, Runtime
    from imgtool_score.imagereward import Rewarder

TASK = "image-reward"


@dataclass(frozen=True)
class RewardParams:
    """Parameters of `score.imagereward`."""

    model: Annotated[
        str, Help("ImageReward's checkpoint as .safetensors, in its own names."), ModelRef(TASK)
    ] = ""
    tokenizer: Annotated[
        str, Help("Folder with BERT's tokenizer; empty: beside the model."), ModelRef("tokenizer")
    ] = ""
    against: Against = "source_prompt"


class ImageReward(Stage[RewardParams]):
    """ImageReward, Xu et al. (2023): mean 0 and deviation 1 over its data; reads 35 tokens."""

    id, version = "score.imagereward", 1
    summary = "Score human preference for the prompt, by ImageReward; reads short prompts only."
    consumes = (IMAGE, PROMPT, optional(SOURCE_PROMPT))
    produces = (score("imagereward"), info("imagereward"))

    rewarder: Rewarder

    def open(self, params: RewardParams, runtime: Runtime) -> None:
        """Load the model.

        Raises
        ------
        ModelUnusable : none is named, it cannot be loaded, or has no tokenizer.
        """
        from imgtool_score.imagereward import load_rewarder

        self.params, self.runtime = params, runtime
        if not params.model:
            raise ModelUnusable(
                "score.imagereward: no checkpoint is named",
                "Give --model FILE.safetensors and --tokenizer; the plugin's README says how to "
                "convert the published file",
            )
        self.rewarder = load_rewarder(runtime, params.model, params.tokenizer)

    def process(self, batch: Batch) -> Batch:
        """One reward a row. A row without a prompt has none; one that is cut says so."""
        texts = texts_against(batch, self.params.against)
        counts = [self.rewarder.tokens(text) for text in texts]
        limit = self.rewarder.limit
        warn_cut(sum(count > limit for count in counts), limit)
        rows = list(zip(batch.arrays("image"), texts, strict=True))
        values = self.runtime.halving(self.rewarder.rewards, rows)
        scored = [
            Scored(value, "", text_notes(self.params.against, count, limit))
            if text.strip()
            else Scored(None, "the row has no prompt")
            for value, text, count in zip(values, texts, counts, strict=True)
        ]
        mark = fingerprint("imagereward/1", self.rewarder.digest)
        return with_scores(batch, About("imagereward", self.params.model, mark), scored)

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A checkpoint of random weights."""
        from imgtool_score.tiny import save_imagereward

        return {"model": str(save_imagereward(folder / "reward")[0])}

    @classmethod
    def weight_bytes(cls, params: RewardParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.model, TASK).weight_bytes if params.model else 0
