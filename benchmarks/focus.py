"""Where the focus falls: `defocus.auto`'s network and plain rules on held-out scenes.

    python benchmarks/focus.py [--model defocus/tabletop] [--scenes 300] [--size 96] [--estimated]

The focus is on a subject when its plane passes through the subject's body. Printed are the shares
of scenes in which it is on the largest subject, and on any, each with a 95 % interval (Wilson). The
depth is exact; with `--estimated` it is that of `depth.auto`, and a body is where the estimate has
98 % of what is seen of it.
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING

import torch

import imgtool
from imgtool.api import Runtime
from imgtool_defocus.auto.network import load_focus
from imgtool_defocus.auto.quality import hits, rule_of
from imgtool_defocus.depth import distance_of_middle, largest_cluster
from imgtool_tabletop.shared import subjects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from imgtool.engine.python import StageCall
    from imgtool_defocus.auto.quality import Rule

SEED = 700_000
SPREAD = 1.96
TRIMMED = 0.01


def wilson(share: float, count: int) -> tuple[float, float]:
    """Ends of the 95 % interval of a share of `count`."""
    middle = (share + SPREAD**2 / (2 * count)) / (1 + SPREAD**2 / count)
    noise = share * (1 - share) / count + SPREAD**2 / (4 * count**2)
    half = SPREAD * math.sqrt(noise) / (1 + SPREAD**2 / count)
    return middle - half, middle + half


def estimated(scenes: list[Mapping[str, Tensor]]) -> list[Mapping[str, Tensor]]:
    """The same scenes with estimated depth, and bodies where that has them."""
    with imgtool.stage("depth.auto") as estimate:
        return [_seen_by(estimate, scene) for scene in scenes]


def _seen_by(estimate: StageCall, scene: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    found = estimate(image=scene["image"].permute(1, 2, 0).numpy())
    depth = torch.from_numpy(found["depth"])
    ends = torch.tensor([TRIMMED, 1.0 - TRIMMED])
    ranges = torch.stack(
        [
            depth[scene["labels"] == label].quantile(ends)
            for label in range(1, len(scene["nearest_m"]) + 1)
        ]
    )
    return {**scene, "depth": depth, "nearest_m": ranges[:, 0], "farthest_m": ranges[:, 1]}


def main() -> None:
    """Print a line for each rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="defocus/tabletop")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--estimated", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    see = subjects(size=given.size, seed=SEED, held_out=True)
    scenes = [see(at) for at in range(given.scenes)]
    if given.estimated:
        scenes = estimated(scenes)
    net = load_focus(Runtime().model(given.model, "focus-distance").path)
    rules: dict[str, Rule] = {
        "network, median": rule_of(net, "median"),
        "network, mean": rule_of(net, "depth"),
        "network, of 1/depth": rule_of(net, "disparity"),
        "middle": lambda code, depth: distance_of_middle(depth),
        "whole picture": lambda code, depth: largest_cluster(depth),
        "nearest": lambda code, depth: float(depth.min()),
    }
    for name, rule in rules.items():
        found = hits(rule, scenes)
        shares = (
            f"{share:6.1%} [{low:.1%}, {high:.1%}]"
            for share, (low, high) in ((s, wilson(s, len(scenes))) for s in found)
        )
        sys.stdout.write("{:20} on the largest {}  on any {}\n".format(name, *shares))


if __name__ == "__main__":
    main()
