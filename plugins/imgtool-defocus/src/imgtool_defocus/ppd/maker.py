"""The declaration of `imgtool train depth.ppd`.

Scenes with their depth, and training loops, are components of imgtool-tabletop, of the kinds
`picture-depths` and `training-loops`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from imgtool.api import Bounds, Help, Maker, ModelRef

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgtool.api import Runtime
    from imgtool_defocus.ppd.model import PixelPerfect
    from imgtool_defocus.ppd.pool import Scenes

TASK: Final = "depth-estimation"
MEASURED: Final = 92
"""Seed of the held-out scenes to measure on."""


@dataclass(frozen=True)
class PpdTrainParams:
    """Parameters of `train.depth.ppd`."""

    steps: Annotated[int, Help("Steps of both stages together."), Bounds(2)] = 20_000
    batch: Annotated[int, Help("Pictures a step."), Bounds(1, 1024)] = 16
    pictures: Annotated[int, Help("Scenes to render."), Bounds(16)] = 20_000
    size: Annotated[
        Literal["small", "full"], Help("Shapes: small, or the paper's (GPUs, and days).")
    ] = "small"
    objective: Annotated[
        Literal["flow", "regression"],
        Help("Denoise depth, or give it in one step: a baseline of the same shapes."),
    ] = "flow"
    semantics: Annotated[
        str, Help("Model of depth whose encoder gives the semantic prompts."), ModelRef(TASK)
    ] = "tabletop/depth"
    smoke: Annotated[bool, Help("A few steps only, to see that everything works.")] = False
    seed: Annotated[int, Help("Seed of scenes and weights."), Bounds(0)] = 1


class TrainPpd(Maker[PpdTrainParams]):
    """A net for pictures of the tabletop world, with a frozen encoder beside it."""

    id = "train.depth.ppd"
    summary = "Train a model for depth.ppd, on rendered scenes."
    task = TASK

    def make(
        self,
        params: PpdTrainParams,
        inputs: Mapping[str, Path],
        out_dir: Path,
        runtime: Runtime,
    ) -> None:
        """Train, measure on held-out scenes, and write the net and its encoder."""
        from dataclasses import replace

        import torch

        from imgtool_defocus.ppd.checkpoint import save_ppd
        from imgtool_defocus.ppd.config import SIZES
        from imgtool_defocus.ppd.model import PixelPerfect
        from imgtool_defocus.ppd.pool import Pool
        from imgtool_defocus.ppd.semantics import fingerprint, keep_encoder, load_prompts
        from imgtool_defocus.ppd.training import PpdTraining, Training, side_for, split

        device = runtime.torch_device  # asking sets threads before torch computes anything
        make_loops: Any = runtime.component("training-loops", "tabletop")
        make_scenes: Any = runtime.component("picture-depths", "tabletop")
        encoder = runtime.model(params.semantics, TASK).path
        prompts = load_prompts(encoder, device, torch.float32)
        config = replace(
            SIZES["tiny" if params.smoke else params.size],
            objective=params.objective,
            semantics=prompts.channels,
            encoder=fingerprint(encoder),
        )
        side = side_for(config)
        loops = make_loops(runtime.journal)
        pool = Pool(
            runtime.journal / "scenes",
            make_scenes(size=side, seed=params.seed),
            16 if params.smoke else params.pictures,
            side,
        )
        settings = Training(
            split(4 if params.smoke else params.steps),
            batch=2 if params.smoke else params.batch,
            seed=params.seed,
            log_every=1 if params.smoke else 50,
        )
        net = PpdTraining(config, settings, pool, prompts, loops, device).trained().eval()
        unseen = make_scenes(size=side, seed=MEASURED, held_out=True)
        figures = measured(PixelPerfect(net, prompts), unseen, 2 if params.smoke else 50)
        save_ppd(net, out_dir)
        keep_encoder(encoder, out_dir)
        text = json.dumps({k: round(v, 4) for k, v in figures.items()}, sort_keys=True)
        (out_dir / "figures.json").write_text(text + "\n", encoding="utf-8")
        loops.keep_logs(out_dir)


def measured(model: PixelPerfect, scenes: Scenes, count: int) -> dict[str, float]:
    """Errors on the first `count` scenes, fitted to the truth."""
    import torch

    from imgtool_defocus.ppd.quality import fitted_errors, mean_of

    found = []
    for index in range(count):
        pictures, (true,) = scenes([index])
        image = pictures[0].permute(1, 2, 0).numpy()
        made = model(image, torch.Generator().manual_seed(index)).values.cpu()
        found.append(fitted_errors(made, model.kind, true, index))
    return mean_of(found)
