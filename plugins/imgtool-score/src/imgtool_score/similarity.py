"""Stages that compare pictures with prompts by a CLIP: `score.clip`, `score.pick`, `score.hps`."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, TypeVar

from imgtool.api import (
    IMAGE,
    PROMPT,
    SOURCE_PROMPT,
    Batch,
    Failure,
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
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from imgtool.api import Runtime
    from imgtool_score.clip import Encoder

TASK = "image-text-similarity"
PREFIXES = {"cosine": "", "clipscore": "A photo depicts ", "clip100": ""}
LIMITS = {"cosine": (-1.0, 1.0), "clipscore": (0.0, 2.5), "clip100": (-100.0, 100.0)}
Tokenizer = Annotated[
    str, Help("Folder or model with the tokenizer; empty: the model's own."), ModelRef("tokenizer")
]
Strict = Annotated[bool, Help("Fail rows whose text is longer than the model reads.")]


class NamesClip(Protocol):
    """Parameters of every stage here."""

    @property
    def model(self) -> str:
        """The CLIP."""

    @property
    def tokenizer(self) -> str:
        """Its tokenizer, where it brings none."""

    @property
    def against(self) -> str:
        """Field to compare with."""

    @property
    def strict(self) -> bool:
        """Whether a text that is cut fails its row."""


P = TypeVar("P", bound=NamesClip)


class Similarity(Stage[P]):
    """What the stages share: cosines of pictures and texts of a batch, by one CLIP."""

    consumes = (IMAGE, PROMPT, optional(SOURCE_PROMPT))

    encoder: Encoder

    def open(self, params: P, runtime: Runtime) -> None:
        """Load both towers.

        Raises
        ------
        ModelUnusable, NeedsConsent : the model cannot be loaded, or is not here.
        """
        from imgtool_score.clip import load_encoder

        self.params, self.runtime = params, runtime
        self.encoder = load_encoder(runtime, params.model, params.tokenizer)

    def process(self, batch: Batch) -> Batch:
        """One score a row; a row without a prompt has none. Texts that were cut are marked."""
        texts = [self.prefix + t if t.strip() else "" for t in self._texts(batch)]
        limit = self.encoder.limit
        counts = [self.encoder.tokens(text) for text in texts]
        cut = sum(count > limit for count in counts)
        if self.params.strict and cut:
            rest = batch.fail(self._too_long(batch, counts))
            return self.process(rest) if len(rest) else rest
        warn_cut(cut, limit)
        rows = list(zip(batch.arrays("image"), texts, strict=True))
        cosines = self.runtime.halving(self._cosines, rows)
        scored = [
            Scored(self.scaled(cosine), "", text_notes(self.params.against, count, limit))
            if text
            else Scored(None, "the row has no prompt")
            for cosine, text, count in zip(cosines, texts, counts, strict=True)
        ]
        return with_scores(batch, self.about(), scored)

    @property
    def prefix(self) -> str:
        """Words before the prompt."""
        return ""

    def scaled(self, cosine: float) -> float:
        """The score that a cosine makes."""
        return cosine

    @abstractmethod
    def about(self) -> About:
        """How the stage scores."""

    def _texts(self, batch: Batch) -> list[str]:
        return texts_against(batch, self.params.against)

    def _cosines(self, rows: Sequence[tuple[np.ndarray, str]]) -> list[float]:
        from imgtool_score.clip import cosines

        images = self.encoder.images([image for image, _ in rows])
        return cosines(images, self.encoder.texts([text for _, text in rows]))

    def _too_long(self, batch: Batch, counts: Sequence[int]) -> dict[str, Failure]:
        limit = self.encoder.limit
        return {
            row_id: Failure(
                self.id, "RowError", f"the prompt has {count} tokens, the model reads {limit}"
            )
            for row_id, count in zip(batch.ids, counts, strict=True)
            if count > limit
        }

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A CLIP of random weights."""
        from imgtool_score.tiny import save_clip

        return {"model": str(save_clip(folder / "clip"))}

    @classmethod
    def weight_bytes(cls, params: P, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.model, TASK).weight_bytes if params.model else 0


@dataclass(frozen=True)
class ClipParams:
    """Parameters of `score.clip`."""

    model: Annotated[
        str,
        Help("CLIP: alias, hub id, folder, or OpenCLIP file."),
        ModelRef(TASK),
    ] = "tabletop/clip"
    scale: Annotated[
        Literal["cosine", "clipscore", "clip100"],
        Help("The cosine; 2.5 times it, not below 0 (Hessel 2021); or 100 times it."),
    ] = "cosine"
    prefix: Annotated[str | None, Help("Words before the prompt; none: those of the scale.")] = None
    against: Against = "source_prompt"
    tokenizer: Tokenizer = ""
    strict: Strict = False


def scaled(cosine: float, scale: str) -> float:
    """A cosine on one of the published scales."""
    if scale == "clipscore":
        return 2.5 * max(cosine, 0.0)
    return 100 * cosine if scale == "clip100" else cosine


class Clip(Similarity[ClipParams]):
    """How well a picture fits its prompt: the cosine of their vectors."""

    id, version = "score.clip", 1
    summary = "Score how well pictures fit their prompts, by CLIP."
    default_of_family = True
    produces = (score("clip"), info("clip"))

    @property
    def prefix(self) -> str:
        """Words before the prompt."""
        given = self.params.prefix
        return PREFIXES[self.params.scale] if given is None else given

    def scaled(self, cosine: float) -> float:
        """The cosine on the scale that was asked for."""
        return scaled(cosine, self.params.scale)

    def about(self) -> About:
        """How the stage scores."""
        mark = fingerprint("clip/1", self.encoder.digest, self.params.scale, self.prefix)
        return About("clip", self.params.model, mark, *LIMITS[self.params.scale])


@dataclass(frozen=True)
class PickParams:
    """Parameters of `score.pick`."""

    model: Annotated[str, Help("PickScore: folder or hub id."), ModelRef(TASK)] = (
        "yuvalkirstain/PickScore_v1"
    )
    against: Against = "source_prompt"
    tokenizer: Tokenizer = ""
    strict: Strict = False


class Pick(Similarity[PickParams]):
    """PickScore, Kirstain et al. (2023): the scaled cosine of a CLIP trained on people's choices.

    Compare within one prompt; see `score.win`.
    """

    id, version = "score.pick", 1
    summary = "Score which picture people would pick for the prompt, by PickScore."
    produces = (score("pick"), info("pick"))

    @cached_property
    def factor(self) -> float:
        """By which the model was trained to multiply cosines."""
        return self.encoder.logit_scale

    def scaled(self, cosine: float) -> float:
        """The cosine times that factor."""
        return self.factor * cosine

    def about(self) -> About:
        """How the stage scores."""
        mark = fingerprint("pick/1", self.encoder.digest)
        return About("pick", self.params.model, mark, -self.factor, self.factor)


@dataclass(frozen=True)
class HpsParams:
    """Parameters of `score.hps`."""

    model: Annotated[
        str,
        Help("HPSv2 checkpoint as .safetensors in its own layout, or a CLIP folder of it."),
        ModelRef(TASK),
    ] = ""
    tokenizer: Annotated[
        str, Help("Folder or model with CLIP's tokenizer."), ModelRef("tokenizer")
    ] = ""
    against: Against = "source_prompt"
    strict: Strict = False


class Hps(Similarity[HpsParams]):
    """HPSv2, Wu et al. (2023): the cosine of a CLIP ViT-H-14 trained on people's rankings.

    Published tables show a hundred times it; v2.0 and v2.1 do not compare.
    """

    id, version = "score.hps", 1
    summary = "Score human preference for the prompt, by HPSv2."
    produces = (score("hps"), info("hps"))

    def open(self, params: HpsParams, runtime: Runtime) -> None:
        """Load both towers.

        Raises
        ------
        ModelUnusable : no model is named, or it cannot be loaded.
        """
        if not params.model:
            raise ModelUnusable(
                "score.hps: no HPSv2 checkpoint is named",
                "Give --model FILE.safetensors and --tokenizer; the plugin's README says how to "
                "convert the published file",
            )
        super().open(params, runtime)

    def about(self) -> About:
        """How the stage scores."""
        mark = fingerprint("hps/1", self.encoder.digest)
        return About("hps", self.params.model, mark, -1.0, 1.0)
