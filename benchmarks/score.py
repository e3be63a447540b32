"""Do scorers rank pictures as the truth does? Planted rankings of tabletop pictures.

    python benchmarks/score.py [--scenes 24] [--wrong 4] [--scorers tit,clip,vqa,vqa-parts]

Each held-out scene gets a prompt that is true of it, and pictures in which 0, 1, 2, … of the things
that the prompt says are wrong: colour, shape or finish of an object, the table, the light. Pairwise
accuracy is the share of pairs of a scene's pictures that a scorer puts in the true order, ties
half; intervals are 95 %, bootstrapped over scenes. Prompts come in three lengths, to see whether a
scorer that reads descriptions gains on long ones. Pictures a second are those of scoring alone.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from imgtool.api import Batch, Field, Runtime, Stage
from imgtool_score.suites.bootstrap import mean_interval
from imgtool_tabletop.captions import words
from imgtool_tabletop.captions.grammar import describe, in_sentences, trim
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world.facts import Facts, scene_facts
from imgtool_tabletop.world.render import render
from imgtool_tabletop.world.sample import BROAD
from imgtool_tabletop.world.scene import COLOURS, FINISHES, SHAPES, Scene

SEED = 77
BATCH = 32
LENGTHS = ("list", "one sentence", "3 to 5 sentences")
Use = tuple[str, dict[str, object]]
SCORERS: dict[str, Use] = {
    "tit": ("score.tit", {}),
    "clip": ("score.clip", {}),
    "vqa": ("score.vqa", {}),
    "vqa-parts": ("score.vqa", {"decompose": "rules"}),
    "iqa": ("score.iqa", {}),
    "aesthetic": ("score.aesthetic", {}),
}
READING = ("tit", "clip", "vqa", "vqa-parts")
Edit = Callable[[Scene], Scene]


@dataclass(frozen=True)
class Planted:
    """A prompt, and scenes of which the k-th gets k things wrong."""

    length: str
    prompt: str
    scenes: tuple[Scene, ...]


def changed(scene: Scene, index: int, **values: str) -> Scene:
    """The scene with one solid of other looks."""
    solids = [replace(s, **values) if k == index else s for k, s in enumerate(scene.solids)]
    return replace(scene, solids=tuple(solids))


def other(name: str, choices: Sequence[str], rng: random.Random) -> str:
    """One of the choices that is not `name`."""
    return rng.choice([choice for choice in choices if choice != name])


def edits(told: Facts, rng: random.Random) -> list[Edit]:
    """Changes of which each makes one more thing that was told wrong, in random order."""
    made: list[Edit] = []
    for i, fact in enumerate(told.objects):
        colour, shape = other(fact.colour or "", COLOURS, rng), other(fact.shape or "", SHAPES, rng)
        made.append(lambda scene, i=i, to=colour: changed(scene, i, colour=to))
        made.append(lambda scene, i=i, to=shape: changed(scene, i, shape=to))
        if fact.finish is not None:
            finish = other(fact.finish, FINISHES, rng)
            made.append(lambda scene, i=i, to=finish: changed(scene, i, finish=to))
    if told.table is not None:
        table = other(told.table, tuple(words.TABLE_PHRASES), rng)
        made.append(lambda scene, to=table: replace(scene, table=to))
    if told.light is not None:
        light = other(told.light, tuple(words.LIGHT_PHRASES), rng)
        made.append(lambda scene, to=light: replace(scene, light=replace(scene.light, time=to)))
    rng.shuffle(made)
    return made


def rng_of(index: int) -> random.Random:
    """The generator of one scene."""
    return random.Random(f"score:{index}")


def planted(count: int, wrong: int) -> list[Planted]:
    """`count` of each length; no model was trained on their scenes."""
    found: list[Planted] = []
    index = 0
    while len(found) < count * len(LENGTHS):
        index += 1
        scene = scene_at(SEED, index, BROAD, held_out=True)
        rng, facts = rng_of(index), scene_facts(scene)
        told = trim(facts, rng)
        if any(solid.support is not None for solid in scene.solids) or not told.relations:
            continue
        length = LENGTHS[len(found) % len(LENGTHS)]
        if length == "list":
            told = replace(told, relations=frozenset(), table=None, light=None, extras=frozenset())
        if length == "3 to 5 sentences":
            told = replace(told, table=facts.table, light=facts.light)
            prompt = in_sentences(told, rng)
        else:
            prompt = describe(told, rng)
        scenes = [scene]
        for edit in edits(told, rng)[:wrong]:
            scenes.append(edit(scenes[-1]))
        found.append(Planted(length, prompt, tuple(scenes)))
    return found


def pictures_of(group: Planted) -> list[np.ndarray]:
    """[64, 64, 3] uint8 each."""
    made = render(list(group.scenes), 64).clamp(0, 1).mul(255).round().byte()
    return list(made.permute(0, 2, 3, 1).numpy())


def score_of(produced: Sequence[Field]) -> str:
    """The score among the fields that a stage produces, its first."""
    return next(field.name for field in produced if field.name.startswith("score."))


def scored(stage: Stage, groups: Sequence[Planted]) -> tuple[list[list[float]], float]:
    """The scores of each group's pictures, and pictures a second."""
    rows = [(g.prompt, picture) for g in groups for picture in pictures_of(g)]
    scores: list[float] = []
    start = time.perf_counter()
    for at in range(0, len(rows), BATCH):
        part = rows[at : at + BATCH]
        prompts, pictures = ([row[i] for row in part] for i in (0, 1))
        ids = tuple(str(at + i) for i in range(len(part)))
        columns = {"source_prompt": prompts, "prompt": prompts, "image": pictures}
        batch = stage.process(Batch(ids, {**columns, "seed": list(range(len(part)))}))
        scores += batch.numbers(score_of(stage.produces))
    rate = len(rows) / (time.perf_counter() - start)
    ends = np.cumsum([len(g.scenes) for g in groups])
    return [list(part) for part in np.split(np.array(scores), ends[:-1])], rate


def in_order(scores: Sequence[float]) -> float:
    """Share of pairs that are in falling order, ties half."""
    pairs = list(combinations(scores, 2))
    return sum(float(a > b) + 0.5 * float(a == b) for a, b in pairs) / len(pairs)


def main() -> None:
    """Print a line for each scorer and length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=24, help="of each length")
    parser.add_argument("--wrong", type=int, default=4, help="things wrong at most")
    parser.add_argument("--scorers", default=",".join(READING))
    given = parser.parse_args()
    groups = planted(given.scenes, given.wrong)
    runtime = Runtime()
    for name in given.scorers.split(","):
        stage_id, params = SCORERS[name]
        stage = runtime.stage(stage_id, **params)
        scored(stage, groups[:2])
        scores, rate = scored(stage, groups)
        for length in LENGTHS:
            shares = [
                in_order(each)
                for each, group in zip(scores, groups, strict=True)
                if group.length == length
            ]
            mean = mean_interval(shares)
            sys.stdout.write(
                f"{name:10} {length:17} {100 * mean.value:5.1f} % "
                f"[{100 * mean.low:.1f}, {100 * mean.high:.1f}]   {rate:6.1f} pictures/s\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
