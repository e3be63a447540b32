"""The stages that compare pictures with prompts by a CLIP: `score.clip`, `score.pick`, `score.hps`.

`score.win` turns any score into chances of winning among the children of one parent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from imgtool.api import (
    IMAGE,
    PROMPT,
    SOURCE_PROMPT,
    BadParams,
    Batch,
    Bounds,
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
    texts_against,
    warn_cut,
    with_scores,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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


class Clip(Stage[ClipParams]):
    """How well a picture fits its prompt: the cosine of their vectors."""

    id, version = "score.clip", 1
    summary = "Score how well pictures fit their prompts, by CLIP."
    default_of_family = True
    consumes = (IMAGE, PROMPT, optional(SOURCE_PROMPT))
    produces = (score("clip"), info("clip"))

    encoder: Encoder

    def open(self, params: ClipParams, runtime: Runtime) -> None:
        """Load both towers.

        Raises
        ------
        ModelUnusable : the model cannot be loaded.
        """
        from imgtool_score.clip import load_encoder

        self.params, self.runtime = params, runtime
        self.encoder = load_encoder(runtime, params.model, params.tokenizer)

    def process(self, batch: Batch) -> Batch:
        """One cosine a row. A row without a prompt has none."""
        params = self.params
        prefix = PREFIXES[params.scale] if params.prefix is None else params.prefix
        low, high = LIMITS[params.scale]
        mark = fingerprint("clip/1", self.encoder.digest, params.scale, prefix)
        about = About("clip", params.model, mark, low, high)
        agreement = Agreement(self.encoder, self.runtime, params.against, prefix)
        return agreement.score(
            batch, about, lambda cosine: scaled(cosine, params.scale), params.strict
        )

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: ClipParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.model, TASK).weight_bytes


@dataclass(frozen=True)
class PickParams:
    """Parameters of `score.pick`."""

    model: Annotated[str, Help("PickScore: folder or hub id."), ModelRef(TASK)] = (
        "yuvalkirstain/PickScore_v1"
    )
    against: Against = "source_prompt"
    tokenizer: Tokenizer = ""
    strict: Strict = False


class Pick(Stage[PickParams]):
    """PickScore, Kirstain et al. (2023): a CLIP trained on people's choices, scaled cosine."""

    id, version = "score.pick", 1
    summary = "Score which picture people would pick for the prompt, by PickScore."
    consumes = (IMAGE, PROMPT, optional(SOURCE_PROMPT))
    produces = (score("pick"), info("pick"))

    encoder: Encoder

    def open(self, params: PickParams, runtime: Runtime) -> None:
        """Load both towers.

        Raises
        ------
        ModelUnusable, NeedsConsent : the model cannot be loaded, or is not here.
        """
        from imgtool_score.clip import load_encoder

        self.params, self.runtime = params, runtime
        self.encoder = load_encoder(runtime, params.model, params.tokenizer)

    def process(self, batch: Batch) -> Batch:
        """exp(logit scale) times the cosine. Compare within one prompt; see `score.win`."""
        factor = self.encoder.logit_scale
        mark = fingerprint("pick/1", self.encoder.digest)
        about = About("pick", self.params.model, mark, -factor, factor)
        agreement = Agreement(self.encoder, self.runtime, self.params.against)
        return agreement.score(batch, about, lambda cosine: factor * cosine, self.params.strict)

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A CLIP of random weights."""
        from imgtool_score.tiny import save_clip

        return {"model": str(save_clip(folder / "clip"))}

    @classmethod
    def weight_bytes(cls, params: PickParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.model, TASK).weight_bytes


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


class Hps(Stage[HpsParams]):
    """HPSv2, Wu et al. (2023): a CLIP ViT-H-14 trained on people's rankings, plain cosine."""

    id, version = "score.hps", 1
    summary = "Score human preference for the prompt, by HPSv2."
    consumes = (IMAGE, PROMPT, optional(SOURCE_PROMPT))
    produces = (score("hps"), info("hps"))

    encoder: Encoder

    def open(self, params: HpsParams, runtime: Runtime) -> None:
        """Load both towers.

        Raises
        ------
        ModelUnusable : no model is named, or it cannot be loaded.
        """
        from imgtool_score.clip import load_encoder

        if not params.model:
            raise ModelUnusable(
                "score.hps: no HPSv2 checkpoint is named",
                "Give --model FILE.safetensors and --tokenizer; the plugin's README says how to "
                "convert the published file",
            )
        self.params, self.runtime = params, runtime
        self.encoder = load_encoder(runtime, params.model, params.tokenizer)

    def process(self, batch: Batch) -> Batch:
        """The cosine. Published tables show a hundred times it; v2.0 and v2.1 do not compare."""
        mark = fingerprint("hps/1", self.encoder.digest)
        about = About("hps", self.params.model, mark, -1.0, 1.0)
        agreement = Agreement(self.encoder, self.runtime, self.params.against)
        return agreement.score(batch, about, lambda cosine: cosine, self.params.strict)

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A CLIP of random weights."""
        from imgtool_score.tiny import save_clip

        return {"model": str(save_clip(folder / "clip"))}

    @classmethod
    def weight_bytes(cls, params: HpsParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.model, TASK).weight_bytes if params.model else 0


@dataclass(frozen=True)
class Agreement:
    """Cosines of pictures and texts of a batch, by one encoder."""

    encoder: Encoder
    runtime: Runtime
    against: str
    prefix: str = ""

    def score(
        self,
        batch: Batch,
        about: About,
        scale: Callable[[float], float],
        strict: bool,
    ) -> Batch:
        """`batch` with the scores; texts that were cut are marked, or fail when `strict`."""
        texts = [self.prefix + t if t.strip() else "" for t in texts_against(batch, self.against)]
        cut = [self.encoder.tokens(text) for text in texts]
        cut = [count if count > self.encoder.limit else 0 for count in cut]
        if strict and any(cut):
            return self._without_long(batch, about, scale, cut)
        warn_cut(sum(map(bool, cut)), self.encoder.limit)
        rows = list(zip(batch.arrays("image"), texts, strict=True))
        values = self.runtime.halving(self._cosines, rows)
        found = [
            Scored(scale(value), "", {"against": self.against, **self._note(count)})
            if text
            else Scored(None, "the row has no prompt")
            for value, text, count in zip(values, texts, cut, strict=True)
        ]
        return with_scores(batch, about, found)

    def _cosines(self, rows: Sequence[tuple[np.ndarray, str]]) -> list[float]:
        from imgtool_score.clip import cosines

        images = self.encoder.images([image for image, _ in rows])
        return cosines(images, self.encoder.texts([text for _, text in rows]))

    def _without_long(
        self, batch: Batch, about: About, scale: Callable[[float], float], cut: Sequence[int]
    ) -> Batch:
        reasons = {
            row_id: Failure(
                f"score.{about.metric}",
                "RowError",
                f"the prompt has {count} tokens, the model reads {self.encoder.limit}",
            )
            for row_id, count in zip(batch.ids, cut, strict=True)
            if count
        }
        rest = batch.fail(reasons)
        return self.score(rest, about, scale, strict=False) if len(rest) else rest

    def _note(self, tokens: int) -> dict[str, object]:
        return {"truncated": True, "tokens": tokens, "limit": self.encoder.limit} if tokens else {}


@dataclass(frozen=True)
class WinParams:
    """Parameters of `score.win`."""

    by: Annotated[str, Help("Score that decides.")] = "score.pick"
    temperature: Annotated[float, Help("Scores are divided by it."), Bounds(1e-9)] = 1.0
    lowest: Annotated[bool, Help("Smaller is better.")] = False


class Win(Stage[WinParams]):
    """The chance that each child of a parent is preferred: softmax of a score over siblings."""

    id, version = "score.win", 1
    summary = "Turn a score into chances of winning among siblings."
    scope = "siblings"
    produces = (score("win"), info("win"))
    check_params = MappingProxyType({"by": "seed", "temperature": 1e9})

    def process(self, batch: Batch) -> Batch:
        """Children of one parent are always in one batch; rows without a score have no chance.

        Raises
        ------
        BadParams : rows have no such score.
        """
        params = self.params
        if params.by not in batch:
            raise BadParams(
                f"score.win: rows have no field {params.by!r}",
                f"Fields: {', '.join(sorted(batch.columns))}",
            )
        sign = -1.0 if params.lowest else 1.0
        values = [sign * value / params.temperature for value in batch.numbers(params.by)]
        families: dict[str, list[int]] = {}
        for index, row_id in enumerate(batch.ids):
            families.setdefault(row_id.rpartition(".")[0] or row_id, []).append(index)
        chances: dict[int, float] = {}
        for members in families.values():
            there = [index for index in members if math.isfinite(values[index])]
            chances |= zip(there, softmax([values[index] for index in there]), strict=True)
        about = About("win", "", fingerprint("win/1", params.by, params.temperature), 0.0, 1.0)
        found = [
            Scored(chances[index], "", {"by": params.by})
            if index in chances
            else Scored(None, f"the row has no {params.by}")
            for index in range(len(batch))
        ]
        return with_scores(batch, about, found)


def softmax(values: Sequence[float]) -> list[float]:
    """exp of each over their sum; unchanged when a constant is added to all."""
    if not values:
        return []
    highest = max(values)
    powers = [math.exp(value - highest) for value in values]
    return [power / math.fsum(powers) for power in powers]
