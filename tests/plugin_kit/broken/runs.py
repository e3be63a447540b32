"""It forgets to return what it made."""

from imgtool.api import PROMPT, Batch, Stage


class Forgets(Stage[None]):
    id, summary = "broken.runs", "Write prompts in capitals."
    consumes, produces = (PROMPT,), (PROMPT,)

    def process(self, batch: Batch) -> Batch:  # type: ignore[return]
        batch.with_columns(prompt=[text.upper() for text in batch.texts("prompt")])
