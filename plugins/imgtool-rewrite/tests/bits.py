"""A plugin file without torch: draws which of some phrases a prompt has, one pixel a phrase.

It writes a line a picture into the file that `IMGTOOL_BITS_LOG` names.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from imgtool.api import IMAGE, PROMPT, SEED, Component, Help, ModelRef, RowError, Stage, hookimpl

PHRASES = ("red roof", "blue door", "tall tree", "small dog")


@hookimpl
def imgtool_components():
    yield Component("stage", "paint.bits", f"{__file__}:Paint")


@dataclass(frozen=True)
class PaintParams:
    model: Annotated[str, Help("Model."), ModelRef("text-to-image")] = "tabletop"
    steps: Annotated[int, Help("Steps.")] = 9


class Paint(Stage[PaintParams]):
    id, summary = "paint.bits", "Paint a pixel a phrase."
    consumes, produces = (PROMPT, SEED), (IMAGE,)

    def process(self, batch):
        import numpy as np

        bad = [row.id for row in batch if "never" in row["prompt"]]
        if bad:
            raise RowError(bad[0], "that cannot be painted")
        if "IMGTOOL_BITS_LOG" in os.environ:
            with Path(os.environ["IMGTOOL_BITS_LOG"]).open("a") as file:
                file.writelines(f"{row.seed} {row['prompt']}\n" for row in batch)
        images = []
        for row in batch:
            pixels = np.zeros((1, len(PHRASES) + 1, 3), np.uint8)
            pixels[0, :-1] = [[255 * (phrase in row["prompt"])] * 3 for phrase in PHRASES]
            pixels[0, -1] = 0 if "black" in row["prompt"] else 1 + row.seed % 199
            images.append(pixels)
        return batch.with_columns(image=images)
