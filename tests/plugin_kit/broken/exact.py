"""Rounding that depends on how many rows are computed at once, also with `--deterministic`."""

from imgtool.api import PROMPT, Batch, Stage, score


class Rounds(Stage[None]):
    id, summary = "broken.exact", "Score how long prompts are."
    consumes, produces = (PROMPT,), (score("length"),)

    def process(self, batch: Batch) -> Batch:
        noise = 1 + 1e-7 * len(batch)
        return batch.with_columns(score__length=[len(t) * noise for t in batch.texts("prompt")])
