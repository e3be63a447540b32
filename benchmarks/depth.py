"""Depth models on held-out scenes: errors over the picture, and points that fly at edges.

    python benchmarks/depth.py [--scenes 100] [--models ppd/ regression/] [--latents latents/]
        [--steps 1 4 20]

`imgtool train depth.ppd -o ppd/`, and the same with `--objective regression -o regression/`, make
models of equal size that saw the same pictures in the same order; the second gives depth in one
step from no noise. A flow in one step is nearly that too: from noise alone, its best guess is the
mean of all depths that the picture allows. Beside them stand `tabletop/depth`, a regression of
another shape, and the exact depth after the generator's autoencoder, which is the best that a flow
in its latents could do. `--latents` is what `depth_latents.py` trained: the same net in latents.

Every map is fitted to the exact depth by a line in log(1 + depth): the best of 1000 through two
pixels, then least squares over what is near it. `tabletop/depth` knows metres and stands there as
it is, too. Intervals are of the mean over scenes, 95 %, by a bootstrap. Below are those of how far
each is above the first of `--models`, a flow in as many steps as `depth.ppd` takes, scene by scene.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from depth_latents import load_latents

from imgtool_defocus.depth import LOGDEPTH, METRIC
from imgtool_defocus.estimate import Options
from imgtool_defocus.ppd.model import STEPS, load
from imgtool_defocus.ppd.quality import errors, fitted_errors
from imgtool_defocus.regression import load as load_regression
from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.shared import picture_depths

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from imgtool_defocus.estimate import DepthModel

    Seen = Callable[[Tensor, Tensor, int], dict[str, float]]

SIZE, SEED = 64, 93
FIGURES = ("abs_rel", "delta1", "edge_chamfer_m", "flying", "between")
RESAMPLES = 1000
CPU, FLOAT = torch.device("cpu"), torch.float32


def by(model: DepthModel, *, fits: bool = True) -> Seen:
    """Errors of a model, by picture, exact depth and number of the scene."""

    def seen(picture: Tensor, true: Tensor, index: int) -> dict[str, float]:
        image = picture.permute(1, 2, 0).numpy()
        made = model(image, torch.Generator().manual_seed(index)).values
        if not fits:
            return errors(made, true)
        if model.kind == METRIC:
            made = made.log1p()
        return fitted_errors(made, LOGDEPTH, true, index)

    return seen


def through_latents() -> Seen:
    """Errors of the exact depth, as grey, encoded and decoded by the generator's autoencoder."""
    from diffusers import AutoencoderKL

    vae: Any = AutoencoderKL.from_pretrained(WEIGHTS / "tabletop" / "vae").eval()

    @torch.no_grad()
    def seen(picture: Tensor, true: Tensor, index: int) -> dict[str, float]:
        log = true.log1p()
        grey = (log - log.min()) / (log.max() - log.min()) * 2 - 1
        latent = vae.encode(grey.expand(1, 3, -1, -1)).latent_dist.mode()
        return fitted_errors(vae.decode(latent).sample[0].mean(0), LOGDEPTH, true, index)

    return seen


def interval(values: list[float]) -> str:
    """A mean and the interval that 95 % of the means of resampled scenes lie in."""
    known = [value for value in values if not math.isnan(value)]
    rng = random.Random(0)
    means = sorted(statistics.fmean(rng.choices(known, k=len(known))) for _ in range(RESAMPLES))
    low, high = means[RESAMPLES // 40], means[-RESAMPLES // 40]
    return f"{statistics.fmean(known):.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--models", type=Path, nargs="*", default=[])
    parser.add_argument("--latents", type=Path, nargs="*", default=[])
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 4, 20], help="of flows")
    given = parser.parse_args()
    torch.set_num_threads(1)
    metric = load_regression(WEIGHTS / "depth", Options(), CPU, FLOAT)
    compared = {"tabletop/depth, metres": by(metric, fits=False), "tabletop/depth": by(metric)}
    for folder in given.models:
        model = load(folder, Options(), CPU, FLOAT)
        if model.net.config.objective == "regression":
            compared[f"{folder.name}, 1 step"] = by(model)
            continue
        for steps in given.steps:
            model = load(folder, Options(steps=steps), CPU, FLOAT)
            compared[f"{folder.name}, {steps} steps"] = by(model)
    for folder in given.latents:
        for steps in given.steps:
            model = load_latents(folder, Options(steps=steps))
            compared[f"{folder.name}, {steps} steps"] = by(model)
    compared["exact, through latents"] = through_latents()
    scenes = picture_depths(size=SIZE, seed=SEED, held_out=True)
    pictures, depths = scenes(range(given.scenes))
    sys.stdout.write(f"{'':25}" + "".join(f"{name:>25}" for name in FIGURES) + "\n")
    found: dict[str, list[dict[str, float]]] = {}
    for name, seen in compared.items():
        started = time.process_time()
        found[name] = [seen(*one, at) for at, one in enumerate(zip(pictures, depths, strict=True))]
        ms = 1000 * (time.process_time() - started) / given.scenes
        line = "".join(
            f"{interval([one[figure] for one in found[name]]):>25}" for figure in FIGURES
        )
        sys.stdout.write(f"{name:25}{line}  {ms:.0f} ms\n")
        sys.stdout.flush()
    first = f"{given.models[0].name}, {STEPS} steps" if given.models else ""
    if first not in found:
        return
    sys.stdout.write(f"above {first}\n")
    for name in (name for name in compared if name != first):
        apart = {
            figure: [a[figure] - b[figure] for a, b in zip(found[name], found[first], strict=True)]
            for figure in FIGURES
        }
        line = "".join(f"{interval(apart[figure]):>25}" for figure in FIGURES)
        sys.stdout.write(f"{name:25}{line}\n")


if __name__ == "__main__":
    main()
