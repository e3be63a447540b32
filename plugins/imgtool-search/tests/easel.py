"""A plugin file without torch: draws one pixel, and judges how far it is from a prompt's length.

Both write a line into the file that `IMGTOOL_EASEL_LOG` names, to see what is computed.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from imgtool.api import (
    IMAGE,
    PROMPT,
    SEED,
    Component,
    Help,
    ModelRef,
    RowError,
    Stage,
    hookimpl,
    score,
)


@hookimpl
def imgtool_components():
    yield Component("stage", "paint.easel", f"{__file__}:Paint")
    yield Component("stage", "score.light", f"{__file__}:Light")


def log(word, rows):
    if "IMGTOOL_EASEL_LOG" in os.environ:
        with Path(os.environ["IMGTOOL_EASEL_LOG"]).open("a") as file:
            file.writelines(f"{word} {row_id}\n" for row_id in rows.ids)


@dataclass(frozen=True)
class PaintParams:
    model: Annotated[str, Help("Model."), ModelRef("text-to-image")] = "tabletop"
    steps: Annotated[int, Help("Steps.")] = 9
    fails: Annotated[int, Help("Refuse seeds that this divides.")] = 1_000_000


class Paint(Stage[PaintParams]):
    id, summary = "paint.easel", "Paint one pixel."
    consumes, produces = (PROMPT, SEED), (IMAGE,)

    def process(self, batch):
        import numpy as np

        log(f"paint-{self.params.steps}", batch)
        bad = [row.id for row in batch if row.seed % self.params.fails == 0]
        if bad:
            raise RowError(bad[0], "that seed will not do")
        pixels = [row.seed * 37 % 251 for row in batch]
        return batch.with_columns(image=[np.full((1, 1, 3), p, np.uint8) for p in pixels])


@dataclass(frozen=True)
class LightParams:
    dark: Annotated[bool, Help("Darkness counts.")] = False


class Light(Stage[LightParams]):
    id, summary = "score.light", "Score how light pictures are."
    consumes, produces = (IMAGE,), (score("light"),)

    def process(self, batch):
        log("score", batch)
        sign = -1 if self.params.dark else 1
        return batch.with_columns(
            score__light=[sign * float(image[0, 0, 0]) / 255 for image in batch.arrays("image")]
        )
