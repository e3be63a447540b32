"""The stage `score.aesthetic`: LAION's predictor over CLIP's picture vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from imgtool.api import IMAGE, Help, ModelRef, ModelUnusable, Stage, score
from imgtool_score.record import About, Scored, fingerprint, info, with_scores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from imgtool.api import Batch, Runtime
    from imgtool_score.clip import Encoder


TASK = "image-text-similarity"


@dataclass(frozen=True)
class AestheticParams:
    """Parameters of `score.aesthetic`."""

    head: Annotated[
        str,
        Help("Head as .safetensors in the layout of LAION's V2 predictor."),
        ModelRef("aesthetic-head"),
    ] = ""
    model: Annotated[str, Help("CLIP that the head was trained over."), ModelRef(TASK)] = (
        "openai/clip-vit-large-patch14"
    )


class Aesthetic(Stage[AestheticParams]):
    """How pleasing a picture is, about 1 to 10: Schuhmann's predictor V2 (2022), linear head."""

    id, version = "score.aesthetic", 1
    summary = "Score how pleasing pictures are, by LAION's aesthetic predictor."
    consumes = (IMAGE,)
    produces = (score("aesthetic"), info("aesthetic"))

    encoder: Encoder
    weight: Tensor
    bias: float
    head_digest: str

    def open(self, params: AestheticParams, runtime: Runtime) -> None:
        """Load the head, then the encoder.

        Raises
        ------
        ModelUnusable : no head is named, it has another layout, or does not fit the encoder.
        """
        from imgtool_score.clip import load_encoder
        from imgtool_score.head import load_head

        if not params.head:
            raise ModelUnusable(
                "score.aesthetic: no head is named",
                "Give --head FILE.safetensors; the plugin's README says how to convert LAION's",
            )
        self.params, self.runtime = params, runtime
        self.weight, self.bias, self.head_digest = load_head(runtime, params.head)
        self.encoder = load_encoder(runtime, params.model)
        takes, gives = len(self.weight), self.encoder.width
        if takes != gives:
            runtime.release()
            raise ModelUnusable(
                f"the head {params.head!r} takes {takes} numbers, {params.model!r} gives {gives}",
                "Name the CLIP that it was trained over with --model",
            )

    def process(self, batch: Batch) -> Batch:
        """One score a row, from the picture alone."""
        reach = float(self.weight.norm())
        mark = fingerprint("aesthetic/1", self.head_digest, self.encoder.digest)
        about = About(
            "aesthetic",
            f"{self.params.head} over {self.params.model}",
            mark,
            self.bias - reach,
            self.bias + reach,
        )
        values = self.runtime.halving(self._scores, batch.arrays("image"))
        return with_scores(batch, about, [Scored(value) for value in values])

    def _scores(self, images: Sequence[np.ndarray]) -> list[float]:
        vectors = self.encoder.images(images).cpu().double()
        return (vectors @ self.weight + self.bias).tolist()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let go of the encoder."""
        self.runtime.release()

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A CLIP and a head of random weights."""
        from imgtool_score.tiny import save_clip, save_head

        head, clip = folder / "head.safetensors", save_clip(folder / "clip")
        save_head(head, 16)
        return {"head": str(head), "model": str(clip)}

    @classmethod
    def weight_bytes(cls, params: AestheticParams, runtime: Runtime) -> int:
        """Size of the encoder's weights on disk; the head is small."""
        return runtime.model(params.model, TASK).weight_bytes
