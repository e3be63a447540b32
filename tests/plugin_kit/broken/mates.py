"""Rows sorted to be computed, and never put back in their order."""

from imgtool.api import PROMPT, Batch, Stage, score


class Sorted(Stage[None]):
    id, summary = "broken.mates", "Score how long prompts are."
    consumes, produces = (PROMPT,), (score("length"),)

    def process(self, batch: Batch) -> Batch:
        rows = sorted(batch, key=lambda row: row.id)
        return batch.with_columns(score__length=[float(len(str(row["prompt"]))) for row in rows])
