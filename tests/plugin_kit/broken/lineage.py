"""Children with ids of its own making: nobody could say which row they come from."""

from imgtool.api import PROMPT, Batch, Stage


class Orphans(Stage[None]):
    id, summary = "broken.lineage", "Repeat each row."
    consumes, produces = (PROMPT,), (PROMPT,)

    def process(self, batch: Batch) -> Batch:
        columns = {
            name: [v for v in values for _ in (1, 2)] for name, values in batch.columns.items()
        }
        return Batch(tuple(f"new{i}" for i in range(2 * len(batch))), columns)
