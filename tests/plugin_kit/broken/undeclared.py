"""A column that the declaration does not name: nothing later could rely on it."""

from imgtool.api import PROMPT, Batch, Stage, score


class Extra(Stage[None]):
    id, summary = "broken.undeclared", "Score how long prompts are."
    consumes, produces = (PROMPT,), (score("length"),)

    def process(self, batch: Batch) -> Batch:
        texts = batch.texts("prompt")
        return batch.with_columns(
            score__length=[float(len(text)) for text in texts], words=[t.split() for t in texts]
        )
