"""Scores divided by the best of the batch: a row's score depends on its neighbours."""

from imgtool.api import PROMPT, Batch, Stage, score


class Ranked(Stage[None]):
    id, summary = "broken.batch", "Score how long prompts are, the longest 1."
    consumes, produces = (PROMPT,), (score("length"),)

    def process(self, batch: Batch) -> Batch:
        lengths = [len(text) for text in batch.texts("prompt")]
        return batch.with_columns(score__length=[n / max(lengths) for n in lengths])
