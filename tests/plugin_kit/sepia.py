from dataclasses import dataclass
from typing import Annotated

from imgtool.api import IMAGE, Batch, Bounds, Help, Stage


@dataclass(frozen=True)
class Params:
    """How brown."""

    strength: Annotated[float, Help("0 keeps the colours, 1 is all sepia."), Bounds(0, 1)] = 1.0


class Sepia(Stage[Params]):
    """Brown."""

    id, version, summary = "filter.sepia", 1, "Tone pictures in sepia."
    consumes, produces = (IMAGE,), (IMAGE,)

    def process(self, batch: Batch) -> Batch:
        import numpy as np

        tone = np.array([112, 66, 20]) / 112
        images = []
        for image in batch.arrays("image"):
            grey = image @ np.array([0.299, 0.587, 0.114])
            brown = grey[..., None] * tone
            mixed = image * (1 - self.params.strength) + brown * self.params.strength
            images.append(mixed.round().clip(0, 255).astype(np.uint8))
        return batch.with_columns(image=images)
