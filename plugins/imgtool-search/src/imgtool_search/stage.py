"""The declaration of `search.bestofn`. How it searches is in the module beside it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from imgtool.api import (
    IMAGE,
    NEGATIVE_PROMPT,
    PROMPT,
    PROMPT_EMBEDS,
    SEED,
    SOURCE_PROMPT,
    BadParams,
    Batch,
    Bounds,
    Field,
    Help,
    Kind,
    ModelRef,
    Stage,
    StageRef,
    optional,
    score,
)

if TYPE_CHECKING:
    from imgtool.api import Runtime
    from imgtool_search.studio import Studio

TASK = "text-to-image"
SEARCH = Field("search", Kind.RECORD, summary="Every candidate, its scores, and whether it stayed.")
SCORE_INFO = Field("score_info.*", Kind.RECORD, summary="How each score was taken.")
# What drawing writes down of itself, as `generate` does.
DRAWING = (
    NEGATIVE_PROMPT,
    Field("model", Kind.TEXT, summary="Reference of the model that drew the picture."),
    Field("steps", Kind.INTEGER, summary="Denoising steps."),
    Field("guidance", Kind.NUMBER, summary="Guidance scale."),
    Field("width", Kind.INTEGER, summary="Width of the picture, pixels."),
    Field("height", Kind.INTEGER, summary="Height of the picture, pixels."),
    Field("sampler", Kind.TEXT, summary="Scheduler class."),
)


@dataclass(frozen=True)
class BestOfNParams:
    """Parameters of `search.bestofn`."""

    model: Annotated[
        str, Help("Model: alias, hub id, folder or .safetensors file."), ModelRef(TASK)
    ] = "tabletop"
    n: Annotated[int, Help("Candidates of each prompt."), Bounds(1, 4096)] = 8
    k: Annotated[int, Help("How many of them to keep."), Bounds(1)] = 1
    steps: Annotated[int, Help("Denoising steps; 0: the model's own."), Bounds(0, 1000)] = 0
    judge: Annotated[
        str, Help("Stage that scores, as NAME or NAME:key=value,key=value."), StageRef()
    ] = "score.clip"
    by: Annotated[str, Help("Score to compare; empty: the judge's own.")] = ""
    until: Annotated[
        str, Help("Condition that ends a prompt's search, such as score.vqa_pass == 1.")
    ] = ""
    wave: Annotated[
        int, Help("Candidates to draw before that condition is looked at."), Bounds(1)
    ] = 1
    preview: Annotated[
        int,
        Help("Steps of a first look at all candidates, of which the better half goes on."),
        Bounds(0, 1000),
    ] = 0
    rounds: Annotated[
        int, Help("How often to halve, each time after twice the steps."), Bounds(1, 12)
    ] = 1
    draw: Annotated[
        str, Help("Stage that draws, as NAME or NAME:key=value,key=value."), StageRef()
    ] = "generate"

    @property
    def looks(self) -> tuple[int, ...]:
        """Steps of each preview."""
        return tuple(self.preview * 2**at for at in range(self.rounds)) if self.preview else ()


class BestOfN(Stage[BestOfNParams]):
    """The best of `n` pictures of each prompt, drawn from consecutive seeds and judged.

    With `preview`, successive halving: all are drawn in few steps and the better half goes on.
    """

    id = "search.bestofn"
    summary = "Draw several pictures of each prompt, judge them and keep the best."
    default_of_family = True
    consumes = (
        PROMPT,
        SEED,
        optional(SOURCE_PROMPT),
        optional(NEGATIVE_PROMPT),
        optional(PROMPT_EMBEDS),
    )
    produces = (IMAGE, *DRAWING, score("*"), SCORE_INFO, SEARCH)
    check_params = MappingProxyType({"n": 2, "steps": 1})

    studio: Studio

    def open(self, params: BestOfNParams, runtime: Runtime) -> None:
        """Open the stages that draw and judge.

        Raises
        ------
        BadParams : previews are no shorter than the drawing, or no score is named.
        UnknownComponent, ModelUnusable, NeedsConsent : see the stages.
        """
        from imgtool_search.studio import Studio

        self.params, self.runtime = params, runtime
        if params.steps and max(params.looks, default=0) >= params.steps:
            raise BadParams(
                f"a preview of {max(params.looks)} steps is no shorter than {params.steps} steps",
                "Give fewer --preview steps, or fewer --rounds",
            )
        self.studio = Studio.open(params, runtime)

    def process(self, batch: Batch) -> Batch:
        """The `k` best candidates of each row. One that cannot be drawn or judged is left out.

        A row all of whose candidates failed fails.
        """
        from imgtool_search.bestofn import Search

        params = self.params
        wave = params.wave if params.until else 0
        search = Search(params.n, params.k, params.looks, params.steps, wave)
        return search.run(batch, self.studio)

    def close(self) -> None:
        """Close the stages."""
        self.studio.close()

    @classmethod
    def weight_bytes(cls, params: BestOfNParams, runtime: Runtime) -> int:
        """Size of the drawing model's weights on disk."""
        return runtime.model(params.model, TASK).weight_bytes
