"""Lens models against the tabletop renderer's own open lens: PSNR from a picture and its depth.

    python benchmarks/defocus_truth.py [--scenes 50] [--apertures 80 40 20 10] [--size 96]

The truth averages rays through points all over the aperture; it knows what is hidden and nothing of
slices. Lens models get the exact depth and the picture through a pinhole, 64 rays a pixel: with 16,
the noise at its edges was most of the error through small apertures. The focus is on a solid.
The edge band is what lies within the widest disc of a step in depth; whole pictures and band are
compared in code values.
"""

from __future__ import annotations

import argparse
import importlib
import math
import statistics
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import max_pool2d

from imgtool_defocus.aperture import Aperture
from imgtool_defocus.lens import framed
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.views.exposure import expose
from imgtool_tabletop.views.optics import Lens, circle_of_confusion
from imgtool_tabletop.world.batch import gather
from imgtool_tabletop.world.render import encode_srgb, measure, render
from imgtool_tabletop.world.sample import BROAD

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_tabletop.world.scene import Scene

SEED, SAMPLES = 5, 8
EDGE = 0.08
"""Step of inverse depth between neighbours, 1/m, that is an edge."""
GAMMA = 2.2
"""The tabletop's pictures are coded by a plain power."""


@dataclass(frozen=True)
class Scores:
    """PSNR of one picture in dB; the band is NaN where there is no edge."""

    whole: float
    band: float


def psnr(a: Tensor, b: Tensor) -> float:
    """Decibels below a peak of 1; NaN of nothing."""
    return -10.0 * math.log10(float((a - b).square().mean()) + 1e-12) if a.numel() else math.nan


def near_edges(depth: Tensor, reach: float) -> Tensor:
    """[H, W], boolean: pixels within `reach` of a step in depth, in rows and columns."""
    inverse = 1.0 / depth
    edge = torch.zeros_like(depth)
    for axis in (0, 1):
        steps = (inverse.diff(dim=axis).abs() > EDGE).to(edge)
        for shift in (0, 1):
            edge.narrow(axis, shift, steps.shape[axis]).add_(steps)
    side = math.ceil(reach)
    return max_pool2d(edge[None], 2 * side + 1, stride=1, padding=side)[0] > 0


def compared(
    scene: Scene, aperture_mm: float, models: list[str], size: int, points: int
) -> dict[str, Scores]:
    """Scores of each lens model on one scene through one aperture."""
    target = scene.solids[0]
    focus_m = scene.camera.project(target.centre)[2]
    wide_open = Lens(scene.camera.focal_mm, 1.0, focus_m)
    lens = replace(wide_open, f_number=wide_open.focal_mm / aperture_mm)
    truth = expose(scene, lens, size, points).double()
    depth = measure(gather([scene]), size).depth[0].double()
    coc = circle_of_confusion(depth, lens, size)
    band = near_edges(depth, float(coc.abs().max()) / 2 + 1)
    linear = render([scene], size, SAMPLES)[0].double().pow(GAMMA)
    scores = {}
    for name in models:
        model = importlib.import_module(f"imgtool_defocus.{name}").render
        shown = encode_srgb(framed(model, linear, coc, Aperture()))
        scores[name] = Scores(psnr(shown, truth), psnr(shown[:, band], truth[:, band]))
    return scores


def main() -> None:
    """Print a line for each aperture and model, then one for all apertures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=50)
    parser.add_argument("--apertures", type=float, nargs="+", default=[80.0, 40.0, 20.0, 10.0])
    parser.add_argument("--models", nargs="+", default=["layered", "gather", "scatter"])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--points", type=int, default=192, help="rays a pixel of the truth")
    given = parser.parse_args()
    found: dict[float, list[dict[str, Scores]]] = {n: [] for n in given.apertures}
    for index in range(given.scenes):
        scene = scene_at(SEED, index, BROAD, held_out=True)
        for n, scores in found.items():
            scores.append(compared(scene, n, given.models, given.size, given.points))
    for n, scores in found.items():
        report(f"{n:g} mm", scores)
    report("all", [one for scores in found.values() for one in scores])


def report(label: str, scores: list[dict[str, Scores]]) -> None:
    """A line a model: mean and worst PSNR, mean in the band, and how far above gather there."""
    for name in scores[0]:
        whole = [one[name].whole for one in scores]
        edged = [one for one in scores if not math.isnan(one[name].band)]
        band = statistics.fmean(one[name].band for one in edged)
        ahead = statistics.fmean(one[name].band - one["gather"].band for one in edged)
        sys.stdout.write(
            f"{label:6} {name:8} mean {statistics.fmean(whole):5.1f} dB  worst {min(whole):5.1f}  "
            f"edges {band:5.1f}  ahead of gather {ahead:+5.1f}\n"
        )


if __name__ == "__main__":
    main()
