"""The stage `score.aesthetic`: an affine head over CLIP's picture vectors."""

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
        Help("Head in the layout of LAION's predictor V2: an alias, a folder, .safetensors."),
        ModelRef("aesthetic-head"),
    ] = "tabletop/aesthetic"
    model: Annotated[str, Help("CLIP that the head was trained over."), ModelRef(TASK)] = (
        "tabletop/clip"
    )


class Aesthetic(Stage[AestheticParams]):
    """How pleasing a picture is, on its head's scale: about 0 to 10 of `tabletop/aesthetic`.

    The linear head of the predictor V2, Schuhmann (2022), with weights of any training.
    """

    id, version = "score.aesthetic", 1
    summary = "Score how pleasing pictures are, by a linear head over CLIP."
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
        ModelUnusable : the head has another layout, or was trained over another encoder.
        """
        from imgtool_score.clip import load_encoder
        from imgtool_score.head import check_origin, load_head

        self.params, self.runtime = params, runtime
        self.weight, self.bias, self.head_digest = load_head(runtime, params.head)
        check_origin(runtime, params.head, params.model)
        self.encoder = load_encoder(runtime, params.model)
        takes, gives = len(self.weight), self.encoder.width
        if takes != gives:
            runtime.release()
            raise ModelUnusable(
                f"the head {params.head!r} takes {takes} numbers, {params.model!r} gives {gives}",
                "Name the CLIP that it was trained over with --model; "
                "for LAION's it is openai/clip-vit-large-patch14",
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
