"""A grey picture where one in colour is promised."""

from imgtool.api import IMAGE, Batch, Stage


class Grey(Stage[None]):
    id, summary = "broken.fields", "Make pictures grey."
    consumes, produces = (IMAGE,), (IMAGE,)

    def process(self, batch: Batch) -> Batch:
        return batch.with_columns(image=[image[..., 1] for image in batch.arrays("image")])
