"""The declaration of `decode.vae`: latents to pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from imgtool.api import IMAGE, LATENTS, Batch, Failure, Help, ModelRef, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from imgtool.api import Runtime
    from imgtool_generate.decoding import Decoder


@dataclass(frozen=True)
class Params:
    """How to decode."""

    model: Annotated[str, Help("Model whose latents these are."), ModelRef("text-to-image")] = (
        "tabletop"
    )
    vae_tiling: Annotated[bool, Help("Decode in tiles: less memory, seams may show.")] = False


class DecodeVae(Stage[Params]):
    """Latents to 8-bit sRGB pictures, by the autoencoder of the model that drew them."""

    id, version = "decode.vae", 1
    summary = "Decode latents to a picture with the model's own autoencoder."
    scope = "row"
    default_of_family = True
    consumes = (LATENTS,)
    produces = (IMAGE,)

    decoder: Decoder

    def open(self, params: Params, runtime: Runtime) -> None:
        """Load the autoencoder.

        Raises
        ------
        ModelUnusable : the model has none that is known here.
        """
        from imgtool_generate.decoding import Decoder

        self.params, self.runtime = params, runtime
        self.decoder = Decoder.open(params, runtime)

    def process(self, batch: Batch) -> Batch:
        """A picture for each row. A row whose picture is NaN fails by name."""
        images, broken = self.decoder.decode(batch.arrays("latents"), batch.ids)
        reason = "decoding gave numbers that are no numbers (NaN), in float32 too"
        failures = {batch.ids[at]: Failure(self.id, "RowError", reason) for at in broken}
        return batch.with_columns(image=images).fail(failures)

    @classmethod
    def check_rows(cls, folder: Path) -> Sequence[Mapping[str, Any]]:
        """Latents [8, h, w] of two sizes, as the default model has them."""
        import numpy as np

        noise = np.random.default_rng(1)
        shapes = ((8, 8, 8), (8, 6, 8), (8, 8, 8))
        return [{"latents": noise.standard_normal(shape, "float32")} for shape in shapes]

    def close(self) -> None:
        """Let go of the autoencoder."""
        self.runtime.release()
