"""Stages without models under the names that examples use, as text: tests install them."""

PLUGIN = """
from imgtool.api import Component, hookimpl

@hookimpl
def imgtool_components():
    for kind, name, where in (
        ("stage", "generate.flat", "Flat"),
        ("stage", "sr.lanczos", "Lanczos"),
        ("maker", "prune.obs", "Obs"),
        ("maker", "train.tabletop", "Tabletop"),
    ):
        yield Component(kind, name, f"lookalikes.stages:{where}")
    yield Component("model", "tabletop", "lookalikes:weights", "Flat", {"task": "text-to-image"})
    yield Component("show", "sparsity.txt", "lookalikes.commands:flatness", "How flat it is.")
    yield Component("bench", "tabletop", "lookalikes.commands:bench", "Compare with nothing.")
"""

STAGES = """
from dataclasses import dataclass
from typing import Annotated

from imgtool.api import IMAGE, PROMPT, SEED, Bounds, Help, Maker, Stage

@dataclass(frozen=True)
class FlatParams:
    n: Annotated[int, Help("Pictures of each row."), Bounds(1)] = 1
    steps: Annotated[int, Help("Added to the colour."), Bounds(1)] = 2
    guidance: Annotated[float, Help("Added to the colour.")] = 1.0

class Flat(Stage[FlatParams]):
    id, summary, default_of_family = "generate.flat", "Draw a flat picture.", True
    consumes, produces = (PROMPT, SEED), (IMAGE,)

    def process(self, batch):
        import numpy as np

        many = batch.repeat(self.params.n)
        shift = self.params.steps + int(self.params.guidance)
        return many.with_columns(
            image=[np.full((8, 8, 3), (row.seed + shift) % 256, "uint8") for row in many]
        )

@dataclass(frozen=True)
class LanczosParams:
    scale: Annotated[int, Help("Enlargement factor."), Bounds(1, 8)] = 2

class Lanczos(Stage[LanczosParams]):
    id, summary = "sr.lanczos", "Repeat pixels."
    consumes, produces = (IMAGE,), (IMAGE,)

    def process(self, batch):
        def larger(image):
            return image.repeat(self.params.scale, 0).repeat(self.params.scale, 1)

        return batch.with_columns(image=[larger(image) for image in batch.arrays("image")])

@dataclass(frozen=True)
class ObsParams:
    model: Annotated[str, Help("Any model.")] = ""
    sparsity: Annotated[float, Help("Any share."), Bounds(0, 1)] = 0.0

class Obs(Maker[ObsParams]):
    id, summary, task = "prune.obs", "Write down how much is pruned.", "text-to-image"

    def make(self, params, inputs, out_dir, runtime):
        (out_dir / "sparsity.txt").write_text(str(params.sparsity))

class Tabletop(Obs):
    id, summary = "train.tabletop", "Train nothing."
"""

COMMANDS = """
import click

@click.command()
def bench():
    click.echo("even")

def flatness(folder):
    import numpy as np
    from imgtool.api import Shown
    return Shown({}, [("flatness", 1.0)], picture=np.full((4, 8, 3), 200, np.uint8))
"""

PIPELINES = """
[portrait]
description = "two pictures of each prompt, enlarged"

[[portrait.stage]]
use = "generate"
n = 2

[[portrait.stage]]
use = "sr"

[demo]
[[demo.stage]]
use = "generate"
"""

FILES = {"plugin.py": PLUGIN, "stages.py": STAGES, "commands.py": COMMANDS}
