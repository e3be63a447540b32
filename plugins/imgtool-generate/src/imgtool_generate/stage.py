"""The declaration of `generate.diffusers`. What it does is in the modules beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from imgtool.api import (
    LATENTS,
    NEGATIVE_PROMPT,
    PROMPT,
    PROMPT_EMBEDS,
    SEED,
    Batch,
    Bounds,
    Choices,
    Failure,
    Field,
    Help,
    Kind,
    ModelRef,
    Stage,
    optional,
)
from imgtool_generate.samplers import SHORT_NAMES

if TYPE_CHECKING:
    from imgtool.api import Runtime
    from imgtool_generate.sampling import Sampler

MODEL = Field("model", Kind.TEXT, summary="Reference of the model that drew the picture.")
STEPS = Field("steps", Kind.INTEGER, summary="Denoising steps.")
GUIDANCE = Field("guidance", Kind.NUMBER, summary="Guidance scale.")
WIDTH = Field("width", Kind.INTEGER, summary="Width of the picture, pixels.")
HEIGHT = Field("height", Kind.INTEGER, summary="Height of the picture, pixels.")
EMBEDS_OF = Field(
    "prompt_embeds_of", Kind.TEXT, summary="Mark of the text encoder that made prompt_embeds."
)
POOLED = Field("pooled_prompt_embeds", Kind.ARRAY, ("P",), summary="Embedding of the whole prompt.")
SAMPLER = Field("sampler", Kind.TEXT, summary="Scheduler class.")


@dataclass(frozen=True)
class Params:
    """How to draw."""

    model: Annotated[
        str, Help("Model: alias, hub id, folder or .safetensors file."), ModelRef("text-to-image")
    ] = "tabletop"
    n: Annotated[int, Help("Pictures for each prompt."), Bounds(1, 4096)] = 1
    steps: Annotated[int, Help("Denoising steps; 0: the model's own."), Bounds(0, 1000)] = 0
    guidance: Annotated[
        float | None, Help("Guidance scale; none: the model's own."), Bounds(0, 100)
    ] = None
    negative: Annotated[str, Help("What to keep out of pictures whose row does not say.")] = ""
    width: Annotated[int, Help("Width, pixels; 0: the model's own."), Bounds(0, 16384)] = 0
    height: Annotated[int, Help("Height, pixels; 0: the model's own."), Bounds(0, 16384)] = 0
    scheduler: Annotated[
        str, Help("Scheduler; empty: the model's own."), Choices(SHORT_NAMES, closed=False)
    ] = ""
    lora: Annotated[tuple[str, ...], Help("LoRAs as path:weight."), ModelRef("lora")] = ()
    option: Annotated[
        tuple[str, ...], Help("Further option of the model's pipeline, as key=value.")
    ] = ()
    vae_tiling: Annotated[bool, Help("Decode in tiles: less memory, seams may show.")] = False
    offload: Annotated[
        str,
        Help("Keep weights off the device until used."),
        Choices(("none", "model", "sequential")),
    ] = "none"
    sparse_kernels: Annotated[
        bool, Help("Run 2:4 weights on sparse tensor cores where faster; CUDA, half precision.")
    ] = False


class Diffusers(Stage[Params]):
    """Prompts to latents, through whichever pipeline the model was made for."""

    id, version = "generate.diffusers", 1
    summary = "Sample latents from a prompt with any text-to-image model of diffusers."
    scope = "row"
    default_of_family = True
    consumes = (
        PROMPT, optional(NEGATIVE_PROMPT), SEED, optional(PROMPT_EMBEDS), optional(POOLED),
        optional(EMBEDS_OF),
    )  # fmt: skip
    produces = (LATENTS, NEGATIVE_PROMPT, MODEL, STEPS, GUIDANCE, WIDTH, HEIGHT, SAMPLER)

    sampler: Sampler

    def open(self, params: Params, runtime: Runtime) -> None:
        """Check the parameters against the model, and load it.

        Raises
        ------
        ModelUnusable : the model cannot be loaded, or draws no latents.
        BadParams : an option, scheduler or size that this model does not take.
        """
        from imgtool_generate.sampling import Sampler

        self.params, self.runtime = params, runtime
        self.sampler = Sampler.open(params, runtime)

    def process(self, batch: Batch) -> Batch:
        """Latents for `n` children of each row. A row that gives NaN fails by name."""
        rows = batch.repeat(self.params.n)
        latents, broken = self.sampler.sample(list(rows))
        count, sampler = len(rows), self.sampler
        result = rows.with_columns(
            latents=latents,
            negative_prompt=[sampler.negative(row) for row in rows],
            model=[self.params.model] * count,
            steps=[sampler.steps] * count,
            guidance=[sampler.guidance] * count,
            width=[sampler.width] * count,
            height=[sampler.height] * count,
            sampler=[sampler.scheduler_name] * count,
        )
        reason = "the model gave numbers that are no numbers (NaN), in float32 too"
        return result.fail({rows.ids[at]: Failure(self.id, "RowError", reason) for at in broken})

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: Params, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.model, "text-to-image").weight_bytes
