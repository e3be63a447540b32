"""A wrong value is looked up, and the user sees a KeyError."""

from dataclasses import dataclass
from typing import Annotated

from imgtool.api import PROMPT, Batch, Help, Runtime, Stage

CASES = {"upper": str.upper, "lower": str.lower}


@dataclass(frozen=True)
class Params:
    case: Annotated[str, Help("upper or lower.")] = "upper"


class Crashes(Stage[Params]):
    id, summary = "broken.params", "Change the case of prompts."
    consumes, produces = (PROMPT,), (PROMPT,)

    def open(self, params: Params, runtime: Runtime) -> None:
        self.change = CASES[params.case]

    def process(self, batch: Batch) -> Batch:
        return batch.with_columns(prompt=[self.change(text) for text in batch.texts("prompt")])
