"""Do rewritten prompts make better pictures? Against no rewriting, and the best of n at equal cost.

    python benchmarks/rewrite.py [peo|genpilot|shortcot|memory ...] [--prompts 48] [--figures FILE]

Held-out prompts of the tabletop world, pictures of `tabletop/turbo`. What counts is read by
`tabletop/judge`, a detector that saw renders alone and that no method here climbs. `right`: exactly
the solids of the prompt, and its left or right, are there, per cent. `truth`: the written
preference, 0 to 10, of the solids that are seen; 0 where none is. Every line has its 95 % interval,
and each method its difference from the others over the same prompts, bootstrapped over prompts.
After `--minutes` a part ends with the prompts that it has come to. What the file of `--figures`
holds is not measured again.

`peo` compares with the best of as many pictures as it evaluated, by the same score; prompts are
captions, and pairs of shapes whose colours are free. `genpilot` compares with the best of as many
pictures as it drew, by the same agent's ratings. `shortcot` compares with the best of as many
pictures, by the same score, and its plans with those that are chosen by their pictures alone. Of
`another seed`, what was found for one noise draws from another. `memory` is what a gradient of
`peo` through the steps of `tabletop` takes at its most, with checkpoints and without.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imgtool.api import Batch, Runtime, Stage
from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.aesthetic import preference, view_seen
from imgtool_tabletop.agent.roles import tabletop
from imgtool_tabletop.captions.grammar import with_article
from imgtool_tabletop.evaluate import held_out_cases
from imgtool_tabletop.expecting import expectation, facts_seen, is_met
from imgtool_tabletop.judge import Judge
from imgtool_tabletop.suite import ask_side, skills
from imgtool_tabletop.world.facts import ObjectFact

MODEL = "tabletop/turbo"
SEED, OTHER, MORE = 50_000, 70_000, 1_000_000
AT_ONCE = 16
ELSEWHERE = ", another seed"
# Weights of the terms of rewrite.peo that look at the picture.
AESTHETIC, CONSISTENCY = 0.1, 0.5
# What rewrite.shortcot takes for a word of the prompt that a plan lacks.
MISSING = 0.2
Item = Mapping[str, Any]
Figures = Mapping[str, float]
Found = dict[str, list[Mapping[str, Figures]]]
Rate = Callable[[Batch, Item], list[float]]


@dataclass
class Easel:
    """Draws prompts, and reads what was drawn."""

    runtime: Runtime
    stages: list[Stage[Any]] = field(default_factory=list)
    judge: Judge = field(default_factory=lambda: Judge.load(WEIGHTS / "judge"))

    def __post_init__(self) -> None:
        named = (("generate", {"model": MODEL}), ("decode", {"model": MODEL}))
        self.stages += [self.runtime.stage(name, **params) for name, params in named]

    def drawn(self, rows: Batch) -> Batch:
        """The rows with pictures."""
        for stage in self.stages:
            rows = stage.process(rows)
        return rows

    def read(self, item: Item, row: Batch) -> dict[str, float]:
        """`right` and `truth` of the picture of one row."""
        images = np.stack(self.drawn(row).arrays("image"))
        pictures = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        seen = self.judge.read(pictures)[0]
        met = all(is_met(one["expects"], facts_seen(seen)) for one in item["questions"])
        truth = preference(view_seen(seen)) if seen else 0.0
        return {"right": 100.0 * met, "truth": truth}


def captions(count: int, seed: int) -> list[Item]:
    """Captions of one or two solids of combinations that training never saw."""
    items: list[Item] = []
    for case in held_out_cases(count, seed):
        objects = tuple(ObjectFact(one.shape, one.colour) for one in case.objects)
        asked = [{"expects": expectation(objects)}]
        if case.side is not None:
            asked.append(ask_side(objects, case.side))
        items.append({"prompt": case.prompt, "questions": asked})
    return items


def free(count: int, seed: int) -> list[Item]:
    """Two shapes whose colours nobody asked for: room to please without disobeying."""
    cases = [case for case in held_out_cases(6 * count, seed) if len(case.objects) == 2]
    items: list[Item] = []
    for case in cases[:count]:
        objects = tuple(ObjectFact(one.shape, None) for one in case.objects)
        prompt = " and ".join(with_article(str(one.shape)) for one in objects)
        items.append({"prompt": prompt, "questions": [{"expects": expectation(objects)}]})
    return items


def of_skill(name: str, count: int) -> list[Item]:
    """Prompts of a category of the suite `tabletop`."""
    return [item for item in skills()["items"] if item["category"] == name][:count]


def row_of(item: Item, seed: int) -> Batch:
    """The one row of an item."""
    columns = {"prompt": [item["prompt"]], "source_prompt": [item["prompt"]], "seed": [seed]}
    return Batch((str(seed),), columns)


def best_of(easel: Easel, item: Item, seeds: Sequence[int], rate: Rate) -> Batch:
    """The item's row with that of the seeds whose picture rates highest."""
    ratings: list[float] = []
    for at in range(0, len(seeds), AT_ONCE):
        part = seeds[at : at + AT_ONCE]
        row = row_of(item, 0)
        columns = {name: list(row[name]) * len(part) for name in ("prompt", "source_prompt")}
        ids = tuple(map(str, part))
        ratings += rate(easel.drawn(Batch(ids, {**columns, "seed": list(part)})), item)
    return row_of(item, seeds[int(np.argmax(ratings))])


@dataclass
class Kept:
    """The figures of each part, kind and prompt, in a file where there is one."""

    settings: Mapping[str, object]
    file: Path | None
    found: dict[str, Found] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file is not None and self.file.is_file():
            held = json.loads(self.file.read_text(encoding="utf-8"))
            if held["settings"] != self.settings:
                sys.exit(f"{self.file} has figures of other settings: {held['settings']}")
            self.found = held["found"]

    def save(self) -> None:
        """Write all that was found."""
        if self.file is not None:
            held = {"settings": self.settings, "found": self.found}
            self.file.write_text(json.dumps(held) + "\n", encoding="utf-8")


class Part(ABC):
    """A method and what it is compared with.

    Attributes
    ----------
    mine : its name among the compared. kinds : prompts of each kind.
    """

    mine: str
    kinds: Mapping[str, Sequence[Item]]

    @abstractmethod
    def compared(self, item: Item, at: int) -> Mapping[str, Figures]:
        """The figures of each of the compared, of item `at` of its kind."""

    def run(self, minutes: float, kept: Kept) -> None:
        """Measure prompts until all are done or time is up, then tell."""
        found = kept.found.setdefault(self.mine, {kind: [] for kind in self.kinds})
        end = time.monotonic() + 60 * minutes
        for at in range(max(map(len, self.kinds.values()))):
            for kind, items in self.kinds.items():
                late = time.monotonic() > end and found[kind]
                if len(found[kind]) == at < len(items) and not late:
                    found[kind].append(self.compared(items[at], at))
                    kept.save()
        for kind, figures in found.items():
            tell(kind, figures, self.mine)


class Peo(Part):
    """Embeddings optimised through the sampler."""

    mine = "peo"

    def __init__(self, runtime: Runtime, easel: Easel, given: argparse.Namespace) -> None:
        half = given.prompts // 2
        self.easel = easel
        self.kinds = {"captions": captions(half, 777), "free": free(half, 778)}
        self.stage = runtime.stage("rewrite.peo", optimiser=given.optimiser)
        clip = {"model": "tabletop/clip"}
        self.head = runtime.stage("score.aesthetic", head="tabletop/aesthetic", **clip)
        self.clip = runtime.stage("score.clip", **clip)

    def _rate(self, pictures: Batch, item: Item) -> list[float]:
        scored: Any = self.clip.process(self.head.process(pictures))
        pairs = zip(scored["score.aesthetic"], scored["score.clip"], strict=True)
        return [AESTHETIC * float(a) + CONSISTENCY * float(c) for a, c in pairs]

    def compared(self, item: Item, at: int) -> Mapping[str, Figures]:
        """Evaluations of the net are the same for `best of n`; gradients are not counted."""
        row = row_of(item, SEED + at)
        done: Any = self.stage.process(row)
        record = done["rewrite"][0][-1]
        seeds = [SEED + at, *(MORE + 1000 * at + k for k in range(1, record["evaluations"]))]
        gains = {name: record["scores"][name][1] - record["scores"][name][0]
                 for name in ("aesthetic", "agreement")}  # fmt: skip
        return {
            "none": self.easel.read(item, row),
            "best of n": self.easel.read(item, best_of(self.easel, item, seeds, self._rate)),
            "peo": {**self.easel.read(item, done), "n": len(seeds),
                    "by head": gains["aesthetic"], "by CLIP": gains["agreement"]},
            f"none{ELSEWHERE}": self.easel.read(item, row_of(item, OTHER + at)),
            f"peo{ELSEWHERE}": self.easel.read(item, done.with_columns(seed=[OTHER + at])),
        }  # fmt: skip


class GenPilot(Part):
    """Words found by a search, with the agent that needs no network."""

    mine = "genpilot"

    def __init__(self, runtime: Runtime, easel: Easel, given: argparse.Namespace) -> None:
        self.easel = easel
        self.kinds = {kind: of_skill(kind, given.prompts // 2) for kind in ("two", "long")}
        self.stage = runtime.stage("rewrite.genpilot", model=MODEL)
        self.agent = tabletop(runtime, "")

    def _rate(self, pictures: Batch, item: Item) -> list[float]:
        prompt = item["prompt"]
        rated = [self.agent.judge(prompt, prompt, [], [], one) for one in pictures.arrays("image")]
        return [sum(value for value in one.values() if not isinstance(value, str)) for one in rated]

    def compared(self, item: Item, at: int) -> Mapping[str, Figures]:
        """The best is of as many pictures as the search drew, rated as it rates them."""
        row = row_of(item, SEED + at)
        done: Any = self.stage.process(row)
        record = done["rewrite"][0][-1]
        seeds = [SEED + at, *(MORE + 1000 * at + k for k in range(1, record["cost"]["images"]))]
        changed = 100.0 * (record["status"] == "ok")
        return {
            "none": self.easel.read(item, row),
            "best of n": self.easel.read(item, best_of(self.easel, item, seeds, self._rate)),
            "genpilot": {**self.easel.read(item, done), "n": len(seeds), "changed": changed},
            f"none{ELSEWHERE}": self.easel.read(item, row_of(item, OTHER + at)),
            f"genpilot{ELSEWHERE}": self.easel.read(item, done.with_columns(seed=[OTHER + at])),
        }


class ShortCot(Part):
    """Plans of a language model, with and without a price of their length."""

    mine = "shortcot"

    def __init__(self, runtime: Runtime, easel: Easel, given: argparse.Namespace) -> None:
        self.easel, self.form = easel, given.form
        self.kinds = {kind: of_skill(kind, given.prompts // 2) for kind in ("two", "long")}
        self.stage = runtime.stage(
            "rewrite.shortcot", llm=given.llm, model=MODEL, target=given.target, form=given.form
        )
        self.clip = runtime.stage("score.clip", model="tabletop/clip")

    def _rate(self, pictures: Batch, item: Item) -> list[float]:
        scored: Any = self.clip.process(pictures)
        return [float(one) for one in scored["score.clip"]]

    def compared(self, item: Item, at: int) -> Mapping[str, Figures]:
        """`any plan` is the first that was drawn, `best plan` the one of the best picture."""
        row = row_of(item, SEED + at)
        done: Any = self.stage.process(row)
        tried = done["search"][0]["candidates"]
        seeds = [SEED + at, *(MORE + 1000 * at + k for k in range(1, len(tried)))]
        best = max(
            tried, key=lambda one: (one["score"] or 0.0) - MISSING * len(one["missing"].split())
        )
        best_seed = best_of(self.easel, item, seeds, self._rate)
        return {
            "none": {**self.easel.read(item, row), "words": 0},
            "best of n": {**self.easel.read(item, best_seed), "words": 0},
            "any plan": self._read(item, row, tried[min(1, len(tried) - 1)]),
            "best plan": self._read(item, row, best),
            "shortcot": {**self._read(item, row, next(one for one in tried if one["kept"])),
                         "n": len(tried)},
        }  # fmt: skip

    def _read(self, item: Item, row: Batch, one: Mapping[str, Any]) -> Figures:
        """Of a candidate of the search."""
        plan, prompt = one["plan"], item["prompt"]
        if plan:
            prompt = plan if self.form == "plan" else f"{prompt.rstrip('.')}. {plan}"
        drawn = row.with_columns(prompt=[prompt])
        return {**self.easel.read(item, drawn), "words": one["length"]}


class Memory:
    """What the gradient of one picture takes at its most, each in a process of its own."""

    def __init__(self, runtime: Runtime, easel: Easel, given: argparse.Namespace) -> None:
        self.runtime, self.item = runtime, captions(1, 777)[0]

    def run(self, minutes: float, kept: Kept) -> None:
        """Print MiB by steps."""
        for steps in (1, 4, 14):
            for checkpoint in (True, False):
                child = get_context("fork").Process(target=self._measure, args=(steps, checkpoint))
                child.start()
                child.join()

    def _measure(self, steps: int, checkpoint: bool) -> None:
        drawing = {"model": "tabletop", "steps": steps, "checkpoint": checkpoint}
        stage: Any = self.runtime.stage("rewrite.peo", **drawing, iterations=1)
        before = held_mib("VmRSS")
        stage.process(row_of(self.item, SEED))
        more = held_mib("VmHWM") - before
        sys.stdout.write(f"memory: {steps:2} steps, checkpoint {checkpoint}: {more:.0f} MiB\n")
        sys.stdout.flush()


def held_mib(kind: str) -> float:
    """Memory that this process holds, `VmRSS`, or the most that it ever held, `VmHWM`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith(kind))
    return int(line.split()[1]) / 1024


def interval(values: Sequence[float], rounds: int = 4000) -> str:
    """The mean and its 95 % interval."""
    drawn = np.random.default_rng(0).choice(values, (rounds, len(values))).mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{np.mean(values):7.2f} [{low:6.2f}, {high:6.2f}]"


def tell(kind: str, items: Sequence[Mapping[str, Figures]], mine: str) -> None:
    """A line for each of the compared and its figures, then what `mine` gains over the others."""
    names = list(items[0])
    against = [(name, mine) for name in names if not name.endswith(ELSEWHERE) and name != mine]
    if f"none{ELSEWHERE}" in names:
        against.append((f"none{ELSEWHERE}", f"{mine}{ELSEWHERE}"))
    sys.stdout.write(f"{kind}: {len(items)} prompts\n")
    for figure in items[0][mine]:
        for name in names:
            if figure in items[0][name]:
                values = [item[name][figure] for item in items]
                sys.stdout.write(f"  {figure:9} {name:46} {interval(values)}\n")
        for name, other in against:
            if figure in items[0][name]:
                gains = [item[other][figure] - item[name][figure] for item in items]
                sys.stdout.write(f"  {figure:9} {f'{other} - {name}':46} {interval(gains)}\n")
    sys.stdout.flush()


PARTS: dict[str, Callable[[Runtime, Easel, argparse.Namespace], Part | Memory]] = {
    "peo": Peo,
    "genpilot": GenPilot,
    "shortcot": ShortCot,
    "memory": Memory,
}


def main() -> None:
    """Print the figures of some parts, or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--prompts", type=int, default=48, help="of each part, half of each kind")
    parser.add_argument("--minutes", type=float, default=20, help="of each part")
    parser.add_argument("--optimiser", default="adam", help="of peo")
    parser.add_argument("--llm", default="tabletop/writer", help="of shortcot")
    parser.add_argument("--form", default="plan", help="of shortcot's prompts")
    parser.add_argument("--target", type=int, default=20, help="words of a plan that cost nothing")
    parser.add_argument("--figures", type=Path, help="keep every figure here")
    given = parser.parse_args()
    named = ("optimiser", "llm", "form", "target")
    kept = Kept({name: getattr(given, name) for name in named}, given.figures)
    runtime = Runtime()
    easel = Easel(runtime)
    for name in given.parts or PARTS:
        PARTS[name](runtime, easel, given).run(given.minutes, kept)


if __name__ == "__main__":
    main()
