"""Notes of a killed attempt are taken for its own."""

import time

from imgtool.api import PROMPT, Batch, Stage, score


class Counts(Stage[None]):
    id, summary = "broken.resume", "Score by counting attempts."
    consumes, produces = (PROMPT,), (score("attempts"),)

    def process(self, batch: Batch) -> Batch:
        journal = self.runtime.journal
        journal.mkdir(parents=True, exist_ok=True)
        with (journal / "attempts").open("a") as file:
            file.write("x")
        time.sleep(0.3)  # long enough to be killed in
        attempts = len((journal / "attempts").read_text())
        return batch.with_columns(score__attempts=[float(attempts)] * len(batch))
