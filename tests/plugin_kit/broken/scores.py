"""Prompts without a colour get NaN, and every mean and maximum after it is NaN."""

from imgtool.api import PROMPT, Batch, Stage, score


class Nan(Stage[None]):
    id, summary = "broken.scores", "Score the share of words that are colours."
    consumes, produces = (PROMPT,), (score("colours"),)

    def process(self, batch: Batch) -> Batch:
        found = [
            sum(text.count(name) for name in ("red", "blue")) for text in batch.texts("prompt")
        ]
        return batch.with_columns(score__colours=[n / 3 if n else float("nan") for n in found])
