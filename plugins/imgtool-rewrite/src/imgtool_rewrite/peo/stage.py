"""The declaration of `rewrite.peo`. How it climbs is in the modules beside it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from imgtool.api import (
    NEGATIVE_PROMPT,
    PROMPT,
    PROMPT_EMBEDS,
    SEED,
    SOURCE_PROMPT,
    Bounds,
    Failure,
    Field,
    Help,
    Kind,
    ModelRef,
    Stage,
    optional,
)
from imgtool_rewrite.record import REWRITE
from imgtool_rewrite.weighted import EMBEDS_OF, TASK

if TYPE_CHECKING:
    from imgtool.api import Batch, Runtime
    from imgtool_rewrite.peo.studio import Studio

Optimiser: TypeAlias = Literal["auto", "adam", "sgd", "lbfgs", "sep-cmaes"]
Target: TypeAlias = Literal["auto", "optimised", "original", "recomputed"]

POOLED = Field("pooled_prompt_embeds", Kind.ARRAY, ("P",), summary="Embedding of the whole prompt.")


@dataclass(frozen=True)
class PeoParams:
    """Parameters of `rewrite.peo`."""

    model: Annotated[str, Help("Model that will draw."), ModelRef(TASK)] = "tabletop/turbo"
    clip: Annotated[
        str, Help("CLIP that sees the pictures."), ModelRef("image-text-similarity")
    ] = "tabletop/clip"
    head: Annotated[
        str,
        Help("Aesthetic head over that CLIP, in the layout of LAION's V2 predictor."),
        ModelRef("aesthetic-head"),
    ] = "tabletop/aesthetic"
    aesthetic: Annotated[
        float, Help("Weight of the aesthetic score, a tenth of it; 0: the head is not opened.")
    ] = 1.0
    consistency: Annotated[float, Help("Weight of the cosine of picture and text.")] = 0.5
    preservation: Annotated[float, Help("Weight of what is kept of the prompt's embeddings.")] = 0.5
    keep: Annotated[
        Literal["eos-cos", "full"],
        Help("What is kept: the direction of the end mark, as published, or every token."),
    ] = "eos-cos"
    target: Annotated[
        Target,
        Help(
            "Text that the picture must fit: the embeddings as they become, the prompt, or, of "
            "SDXL, the embeddings run through CLIP's last block."
        ),
    ] = "auto"
    tokens: Annotated[
        Literal["auto", "all", "words"],
        Help(
            "Tokens that may move: all, or those of the text alone; auto: words for sep-cmaes, "
            "where one text encoder reads them."
        ),
    ] = "auto"
    optimiser: Annotated[
        Optimiser, Help("How to climb; sep-cmaes needs no gradient; auto: adam where there is one.")
    ] = "auto"
    iterations: Annotated[int, Help("Steps of the climb, or generations."), Bounds(1, 10000)] = 10
    rate: Annotated[
        float,
        Help("Learning rate, or sep-cmaes' first relative deviation; 0: the optimiser's own."),
        Bounds(0),
    ] = 0.0
    population: Annotated[
        int, Help("Candidates of a generation of sep-cmaes; 0: its own."), Bounds(0, 10000)
    ] = 0
    patience: Annotated[
        int, Help("Stop after so many iterations without gain; 0: never."), Bounds(0)
    ] = 4
    radius: Annotated[
        float, Help("Largest relative distance from the prompt's embeddings; 0: any."), Bounds(0)
    ] = 0.0
    seeds: Annotated[int, Help("Noises over which the objective is averaged."), Bounds(1, 64)] = 1
    checkpoint: Annotated[
        bool, Help("Compute activations twice instead of keeping them: less memory, slower.")
    ] = False
    backprop: Annotated[
        int, Help("Last sampling steps that the gradient goes through; 0: all."), Bounds(0)
    ] = 0
    steps: Annotated[int, Help("Denoising steps; 0: the model's own."), Bounds(0, 1000)] = 0
    guidance: Annotated[
        float | None, Help("Guidance scale; none: the model's own."), Bounds(0, 100)
    ] = None
    negative: Annotated[str, Help("What to keep out of pictures whose row does not say.")] = ""
    width: Annotated[int, Help("Width, pixels; 0: the model's own."), Bounds(0, 16384)] = 0
    height: Annotated[int, Help("Height, pixels; 0: the model's own."), Bounds(0, 16384)] = 0
    scheduler: Annotated[str, Help("Scheduler; empty: the model's own.")] = ""


class Peo(Stage[PeoParams]):
    """Prompt embeddings from which the model draws more pleasing pictures of the same text.

    Every net stays as it is: the embeddings of one prompt climb by the gradient of an objective
    over the picture, through the sampler. The best ones seen go on to `generate`.
    """

    id, version = "rewrite.peo", 1
    summary = "Optimise prompt embeddings for pictures that score higher."
    consumes = (
        PROMPT,
        SEED,
        optional(SOURCE_PROMPT),
        optional(NEGATIVE_PROMPT),
        optional(PROMPT_EMBEDS),
        optional(EMBEDS_OF),
        optional(REWRITE),
    )
    produces = (PROMPT_EMBEDS, optional(POOLED), EMBEDS_OF, REWRITE)
    check_params = MappingProxyType({"aesthetic": 0.0, "iterations": 2, "steps": 1})

    studio: Studio

    def open(self, params: PeoParams, runtime: Runtime) -> None:
        """Open the model, the CLIP and the head.

        Raises
        ------
        ModelUnusable : one is not here, no head is named, or they do not fit one another.
        BadParams : this model has no gradient, or not that target.
        UnknownComponent, NeedsConsent : as the names say.
        """
        from imgtool_rewrite.peo.studio import Studio

        self.params, self.runtime = params, runtime
        self.studio = Studio.open(params, runtime)

    def process(self, batch: Batch) -> Batch:
        """The rows with embeddings. A row whose objective is not a number fails by name."""
        from imgtool_rewrite.peo.studio import Optimised

        # One after another: what a row becomes does not depend on its neighbours.
        done = self.runtime.halving(lambda rows: [self.studio.climb(row) for row in rows],
                                    list(batch), 1)  # fmt: skip
        failures = {
            row_id: Failure(self.id, "RowError", found)
            for row_id, found in zip(batch.ids, done, strict=True)
            if isinstance(found, str)
        }
        made = [found for found in done if isinstance(found, Optimised)]
        return batch.fail(failures).with_columns(
            prompt_embeds=[one.embeds for one in made],
            pooled_prompt_embeds=[one.pooled for one in made],
            prompt_embeds_of=[self.studio.painter.mark] * len(made),
            rewrite=[one.record for one in made],
        )

    def close(self) -> None:
        """Let go of the models."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: PeoParams, runtime: Runtime) -> int:
        """Size of the model's and of CLIP's weights on disk."""
        return sum(
            runtime.model(ref, task).weight_bytes
            for ref, task in ((params.model, TASK), (params.clip, "image-text-similarity"))
        )
