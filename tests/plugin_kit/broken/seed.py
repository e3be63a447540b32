"""A random source of its own: no run could be repeated."""

import random

from imgtool.api import PROMPT, Batch, Stage, score


class Dice(Stage[None]):
    id, summary = "broken.seed", "Score by throwing dice."
    consumes, produces = (PROMPT,), (score("dice"),)

    def process(self, batch: Batch) -> Batch:
        return batch.with_columns(score__dice=[random.random() for _ in batch])
