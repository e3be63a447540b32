"""The declaration of `imgtool train sr.pocketsr`.

Pictures and training loops are components of imgtool-tabletop, of the kinds `picture-pairs` and
`training-loops`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from imgtool.api import Bounds, Help, Maker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from imgtool.api import Runtime
    from imgtool_sr.pocketsr.model import PocketSR
    from imgtool_sr.pocketsr.pool import Pairs

SOURCES: Final = ("leaves", "scenes", "leaves", "textures")
SOFTNESS: Final = {"bicubic": 1.2, "mild": 0.0, "area": 1.2, "classic": 0.0}
"""The widest blur of sharp pictures, in pixels, by what is done to them after it. Photographs are
never as sharp as leaves are drawn: a net that saw nothing soft sharpens them too much. Where noise
is to be removed, soft ones teach to leave everything soft."""
MEASURED: Final = {"leaves": 900_000, "scenes": 0, "textures": 900_000}
"""First of the pictures to measure on; those of scenes are held out otherwise."""
SCALES: Final = (2.0, 4.0)
"""The least and the largest."""


@dataclass(frozen=True)
class PocketTrainParams:
    """Parameters of `train.sr.pocketsr`."""

    steps: Annotated[int, Help("Steps of both stages together."), Bounds(3)] = 4000
    batch: Annotated[int, Help("Pictures a step."), Bounds(1, 1024)] = 8
    pictures: Annotated[int, Help("Pairs of pictures to make."), Bounds(16)] = 3000
    size: Annotated[
        Literal["small", "full"], Help("Shapes: small, or the paper's (a GPU, and days).")
    ] = "small"
    anneal: Annotated[
        Literal["linear", "cosine", "step"], Help("How heavy blocks give way to light ones.")
    ] = "linear"
    smoke: Annotated[bool, Help("A few steps only, to see that everything works.")] = False
    seed: Annotated[int, Help("Seed of pictures and weights."), Bounds(0)] = 1


class TrainPocketsr(Maker[PocketTrainParams]):
    """Encoder, decoder and teacher first; then the light UNet, from the teacher's features."""

    id = "train.sr.pocketsr"
    summary = "Train a model for sr.pocketsr, on pictures made for it."
    task = "super-resolution"

    def make(
        self,
        params: PocketTrainParams,
        inputs: Mapping[str, Path],
        out_dir: Path,
        runtime: Runtime,
    ) -> None:
        """Train, measure the teacher and the student, and write the student."""
        from imgtool_sr.pocketsr.config import SIZES
        from imgtool_sr.pocketsr.model import save_pocketsr
        from imgtool_sr.pocketsr.pool import Pool
        from imgtool_sr.pocketsr.training import PocketTraining, Training, split

        device = str(runtime.torch_device)  # asking sets threads before torch computes anything
        make_loops: Any = runtime.component("training-loops", "tabletop")
        make_pairs: Any = runtime.component("picture-pairs", "tabletop")
        loops = make_loops(runtime.journal)
        count = 16 if params.smoke else params.pictures
        pool = Pool(runtime.journal / "pairs.u8", kinds(make_pairs, params.seed), count)
        settings = Training(
            split(6 if params.smoke else params.steps),
            batch=2 if params.smoke else params.batch,
            seed=params.seed,
            shape=params.anneal,
            log_every=1 if params.smoke else 50,
        )
        config = SIZES["tiny" if params.smoke else params.size]
        training = PocketTraining(config, settings, pool, loops, device)
        teacher = training.teacher()
        student = training.student(teacher)
        figures = measured(make_pairs, teacher, student, 1 if params.smoke else 16)
        save_pocketsr(student, out_dir)
        text = json.dumps({k: round(v, 3) for k, v in figures.items()}, sort_keys=True)
        (out_dir / "figures.json").write_text(text + "\n", encoding="utf-8")
        loops.keep_logs(out_dir)


def kinds(make_pairs: Any, seed: int) -> list[Pairs]:
    """Every source under every degradation, at the least scale, at the largest and in between.

    Half of the sources are dead leaves.
    """
    least, largest = SCALES
    ranges = ((least, least), (least, largest), (largest, largest))
    return [
        make_pairs(
            source,
            degradation,
            size=128,
            low=low,
            high=high,
            seed=seed + at,
            softness=softness,
        )
        for at, ((low, high), (degradation, softness), source) in enumerate(
            product(ranges, SOFTNESS.items(), SOURCES)
        )
    ]


def measured(make_pairs: Any, teacher: PocketSR, student: PocketSR, count: int) -> dict[str, float]:
    """Decibels that both gain over bicubic on unseen pictures, after a clean bicubic reduction."""
    from imgtool_sr.pocketsr.pool import pair_at
    from imgtool_sr.pocketsr.quality import gains

    sets: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for source, first in MEASURED.items():
        for scale in SCALES:
            pairs = make_pairs(
                source, "bicubic", size=128, low=scale, high=scale, seed=first, held_out=True
            )
            sets[f"{source}_x{scale:g}"] = [pair_at(pairs, index) for index in range(count)]
    kept = {f"teacher_{name}": value for name, value in gains(teacher, sets).items()}
    return {**gains(student, sets), **{k: v for k, v in kept.items() if "gain" in k}}
