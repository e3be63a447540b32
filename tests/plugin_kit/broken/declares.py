"""Pictures declared as fractions, which no other stage expects."""

from imgtool.api import Batch, Field, Kind, Stage

IMAGE = Field("image", Kind.ARRAY, ("H", "W", "RGB"), "float32")


class Fractions(Stage[None]):
    id, summary = "broken.declares", "Halve pictures."
    consumes, produces = (IMAGE,), (IMAGE,)

    def process(self, batch: Batch) -> Batch:
        return batch.with_columns(image=[image / 2 for image in batch.arrays("image")])
