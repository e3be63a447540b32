"""numpy at the top: every `imgtool --help` would pay for it when specs are computed."""

import numpy as np

from imgtool.api import PROMPT, Batch, Stage


class Heavy(Stage[None]):
    id, summary = "broken.import", "Repeat prompts."
    consumes, produces = (PROMPT,), (PROMPT,)

    def process(self, batch: Batch) -> Batch:
        return batch.with_columns(prompt=[str(np.char.add(t, t)) for t in batch.texts("prompt")])
