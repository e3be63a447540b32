"""A plugin of tiny real stages without torch, as text: tests install it on the spot."""

PLUGIN = """
    from imgtool.api import Component, hookimpl

    @hookimpl
    def imgtool_components():
        where = "toy_stages.stages"
        yield Component("stage", "upper.toy", f"{where}:Upper", "Write prompts in capitals.")
        yield Component("stage", "draw.toy", f"{where}:Draw", "Draw a flat picture.")
        yield Component("stage", "score.red", f"{where}:Red", "Score how red pictures are.")
        yield Component("stage", "keep.toy", f"{where}:Keep", "Draw beside a file.")
        yield Component("maker", "carve.toy", f"{where}:Carve", "Make a model of nothing.")
        yield Component("train", "toy", "toy_stages.commands:train", "Train nothing.")
        yield Component("show", "model.json", "toy_stages.commands:weigh", "How heavy it is.")
        yield Component("model", "pebble", "toy_stages:weights", "A stone.", {"task": "toy"})

    @hookimpl
    def imgtool_commands():
        yield Component("command", "greet", "toy_stages.commands:greet", "Say hello.")
"""

STAGES = """
    import os
    import time
    from dataclasses import dataclass
    from pathlib import Path
    from typing import Annotated, Literal

    from imgtool.api import (
        IMAGE, PROMPT, SEED, Bounds, Help, Maker, PathTo, RowError, Stage, optional, score
    )

    @dataclass(frozen=True)
    class UpperParams:
        pause_s: Annotated[float, Help("Seconds to wait for each row."), Bounds(0)] = 0.0
        bang: Annotated[bool, Help("Add an exclamation mark.")] = False

    class Upper(Stage[UpperParams]):
        id, version, summary = "upper.toy", 1, "Write prompts in capitals."
        consumes, produces = (PROMPT,), (PROMPT,)

        def process(self, batch):
            time.sleep(self.params.pause_s * len(batch))
            end = "!" if self.params.bang else ""
            return batch.with_columns(prompt=[t.upper() + end for t in batch.texts("prompt")])

    @dataclass(frozen=True)
    class DrawParams:
        n: Annotated[int, Help("Pictures for each row."), Bounds(1, 8)] = 1
        size: Annotated[int, Help("Edge, pixels."), Bounds(2)] = 8
        sizes: Annotated[tuple[int, ...], Help("Unused list.")] = ()
        tint: Annotated[Literal["none", "red"], Help("What to add.")] = "none"

    class Draw(Stage[DrawParams]):
        id, version, summary = "draw.toy", 1, "Draw a flat picture."
        consumes, produces = (PROMPT, SEED, optional(IMAGE)), (IMAGE,)
        default_of_family = True

        def process(self, batch):
            import numpy as np

            if any("fail" in text for text in batch.texts("prompt")):
                bad = next(i for i, t in zip(batch.ids, batch.texts("prompt")) if "fail" in t)
                raise RowError(bad, "asked to fail")
            many = batch.repeat(self.params.n)
            images = []
            for row in many:
                colour = [row.seed % 256, row.seed // 256 % 256, len(row["prompt"]) % 256]
                if self.params.tint == "red":
                    colour[0] = 255
                image = np.zeros((self.params.size, self.params.size, 3), dtype=np.uint8)
                image[:] = colour
                images.append(image)
                self.runtime.advance(len(images), len(many))
            return many.with_columns(image=images)

        @classmethod
        def expansion(cls, params):
            return params.n

    @dataclass(frozen=True)
    class KeepParams(DrawParams):
        note: Annotated[str, Help("Any file."), PathTo("a note", existing=False)] = ""

    class Keep(Stage[KeepParams]):
        id, version, summary = "keep.toy", 1, "Draw beside a file."
        consumes, produces = (PROMPT, SEED), (IMAGE,)
        process = Draw.process

    @dataclass(frozen=True)
    class RedParams:
        pass

    class Red(Stage[RedParams]):
        id, version, summary = "score.red", 1, "Score how red pictures are."
        consumes, produces = (IMAGE,), (score("red"),)

        def process(self, batch):
            return batch.with_columns(
                score__red=[float(image[..., 0].mean()) for image in batch.arrays("image")]
            )

    @dataclass(frozen=True)
    class CarveParams:
        weight: Annotated[int, Help("Grams."), Bounds(1)] = 5

    class Carve(Maker[CarveParams]):
        id, version, summary, task = "carve.toy", 1, "Make a model of nothing.", "toy"

        def make(self, params, inputs, out_dir, runtime):
            (Path(out_dir) / "model.json").write_text('{"weight": %d}' % params.weight)
"""

COMMANDS = """
    import click

    @click.command()
    @click.argument("name", default="you")
    def greet(name):
        click.echo(f"hello {name}")

    @click.command()
    @click.option("--smoke", is_flag=True)
    def train(smoke):
        click.echo("trained" + (" quickly" if smoke else ""))

    def weigh(folder):
        import json
        import numpy as np
        from imgtool.api import Shown
        model = json.loads((folder / "model.json").read_text())
        rows = [(gram, "stone") for gram in range(model["weight"])]
        picture = np.full((4, 8, 3), 200, np.uint8) if rows[1:] else None
        return Shown(model, [("weight", model["weight"])], ("gram", "of"), rows, picture)
"""

FILES = {"plugin.py": PLUGIN, "stages.py": STAGES, "commands.py": COMMANDS}
