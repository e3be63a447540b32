"""The declaration of `imgtool train defocus.auto`.

Photographs, scenes to measure on and training loops are components of imgtool-tabletop, of the
kinds `photographs`, `subjects` and `training-loops`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from imgtool.api import Bounds, Help, Maker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from imgtool.api import Runtime
    from imgtool_defocus.auto.network import FocusNet
    from imgtool_defocus.auto.photographs import Photographs
    from imgtool_defocus.auto.training import Sets

EDGE: Final = 96
"""Sides of photographs, pixels: a disc through f/1.4 differs by one from solid to solid."""
LENS_POINTS: Final = {"deep": 4, "shallow": 12}
MEASURED: Final = 300
MEASURED_SEED: Final = 700_000


@dataclass(frozen=True)
class FocusTrainParams:
    """Parameters of `train.defocus.auto`."""

    steps: Annotated[int, Help("Steps with masks."), Bounds(1)] = 300
    through_lens: Annotated[
        bool,
        Help("Go on through the lens, in three times the steps; it did harm where measured."),
    ] = False
    batch: Annotated[int, Help("Photographs a step."), Bounds(2, 1024)] = 8
    pictures: Annotated[int, Help("Photographs of each kind to make."), Bounds(2)] = 440
    smoke: Annotated[bool, Help("A few steps only, to see that everything works.")] = False
    seed: Annotated[int, Help("Seed of photographs and weights."), Bounds(0)] = 1


class TrainAuto(Maker[FocusTrainParams]):
    """Saliency from masks of subjects, and through the lens from photographs of other scenes."""

    id = "train.defocus.auto"
    summary = "Train a focus network for defocus.auto."
    task = "focus-distance"

    def make(
        self,
        params: FocusTrainParams,
        inputs: Mapping[str, Path],
        out_dir: Path,
        runtime: Runtime,
    ) -> None:
        """Train, measure on held-out scenes, and write the network."""
        from imgtool_defocus.auto.config import SIZES
        from imgtool_defocus.auto.network import save_focus
        from imgtool_defocus.auto.training import FocusTraining, Training

        device = str(runtime.torch_device)  # asking sets threads before torch computes anything
        make_loops: Any = runtime.component("training-loops", "tabletop")
        subjects: Any = runtime.component("subjects", "tabletop")
        loops = make_loops(runtime.journal)
        steps = 5 if params.smoke else params.steps
        settings = Training(
            (steps, steps, 2 * steps),
            batch=2 if params.smoke else params.batch,
            seed=params.seed,
            log_every=5 if params.smoke else 50,
        )
        config = SIZES["tiny" if params.smoke else "small"]
        sets = sets_of(params, config.edge, runtime)
        training = FocusTraining(config, settings, sets, loops, device)
        net = training.saliency()
        see = subjects(size=EDGE, seed=MEASURED_SEED, held_out=True)
        scenes = [see(at) for at in range(4 if params.smoke else MEASURED)]
        figures = {**measured(net, scenes), **middle(scenes)}
        if params.through_lens:
            training.through_lens(net, training.teacher())
            figures |= {f"{name}_through_lens": v for name, v in measured(net, scenes).items()}
        save_focus(net, out_dir)
        text = json.dumps({k: round(v, 4) for k, v in figures.items()}, sort_keys=True)
        (out_dir / "figures.json").write_text(text + "\n", encoding="utf-8")
        loops.keep_logs(out_dir)


def sets_of(params: FocusTrainParams, edge: int, runtime: Runtime) -> Sets:
    """Pictures with masks at the network's size, and both kinds of photographs, at theirs."""
    import numpy as np

    from imgtool_defocus.auto.photographs import Photographs
    from imgtool_defocus.auto.training import Sets

    take: Any = runtime.component("photographs", "tabletop")
    count = 4 if params.smoke else params.pictures

    def kept(name: str, example: Any, times: int, size: int, **more: Any) -> Photographs:
        layers = {"image": (np.uint8, (3, size, size)), "depth": (np.float32, (size, size)), **more}
        return Photographs(runtime.journal / name, example, times * count, layers)

    deep, shallow = (
        take(name, size=EDGE, seed=params.seed + at, lens_points=points)
        for at, (name, points) in enumerate(LENS_POINTS.items())
    )
    return Sets(
        kept("masked", masked(params, edge, runtime), 4, edge, subject=(np.uint8, (edge, edge))),
        kept("deep", deep, 1, EDGE),
        kept("shallow", shallow, 1, EDGE, strength=(np.float32, ())),
    )


def masked(params: FocusTrainParams, edge: int, runtime: Runtime) -> Any:
    """From a number to a picture, its depth, and a mask of its largest subject."""
    from imgtool_defocus.auto.quality import largest

    subjects: Any = runtime.component("subjects", "tabletop")
    see = subjects(size=edge, seed=params.seed + len(LENS_POINTS), held_out=False)

    def example(index: int) -> Mapping[str, Any]:
        found = see(index)
        return {**found, "subject": found["labels"] == largest(found["labels"]) + 1}

    return example


def measured(net: FocusNet, scenes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """How often the network's focus is on the largest subject, and on any."""
    from imgtool_defocus.auto.quality import hits, rule_of

    found = hits(rule_of(net, "median"), scenes)
    return {"on_largest": found.largest, "on_any": found.any}


def middle(scenes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The same of what takes most of the picture's middle, the focus of `defocus.thinlens`."""
    from imgtool_defocus.auto.quality import hits
    from imgtool_defocus.depth import distance_of_middle

    found = hits(lambda code, depth: distance_of_middle(depth), scenes)
    return {"middle_on_largest": found.largest, "middle_on_any": found.any}
