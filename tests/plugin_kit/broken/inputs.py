"""Pictures darkened in place: the stage before, or a branch beside, reads the same arrays."""

from imgtool.api import IMAGE, Batch, Stage


class InPlace(Stage[None]):
    id, summary = "broken.inputs", "Darken pictures."
    consumes, produces = (IMAGE,), (IMAGE,)

    def process(self, batch: Batch) -> Batch:
        images = batch.arrays("image")
        for image in images:
            image //= 2
        return batch.with_columns(image=images)
