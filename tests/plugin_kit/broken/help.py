"""A parameter that nobody explains."""

from dataclasses import dataclass

from imgtool.api import PROMPT, Batch, Stage


@dataclass(frozen=True)
class Params:
    loud: bool = False


class Silent(Stage[Params]):
    id, summary = "broken.help", "Write prompts in capitals."
    consumes, produces = (PROMPT,), (PROMPT,)

    def process(self, batch: Batch) -> Batch:
        return batch.with_columns(prompt=[text.upper() for text in batch.texts("prompt")])
