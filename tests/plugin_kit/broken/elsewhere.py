"""`hash` of a text differs from process to process."""

from imgtool.api import PROMPT, Batch, Stage, score


class Hashed(Stage[None]):
    id, summary = "broken.elsewhere", "Score by a hash of the prompt."
    consumes, produces = (PROMPT,), (score("hash"),)

    def process(self, batch: Batch) -> Batch:
        return batch.with_columns(score__hash=[float(hash(t)) for t in batch.texts("prompt")])
