"""Where the focus falls: `defocus.auto`'s network and plain rules on held-out scenes.

    python benchmarks/focus.py [--model defocus/tabletop] [--scenes 300] [--size 96] [--estimated]

The focus is on a subject when its plane passes through the subject's body. Printed are the shares
of scenes in which it is on the largest subject, and on any, each with a 95 % interval (Wilson). The
depth is exact; with `--estimated` it is that of `depth.auto`, and a body is where the estimate has
98 % of what is seen of it.

    python benchmarks/focus.py --named tabletop/clip [--scenes 150]

counts scenes of two solids or more in which the focus is on a solid that was named, such as `red
cube`; `found` counts those in which most of what was found on solids is on that one.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from typing import TYPE_CHECKING

import torch

import imgtool
from imgtool.api import Runtime
from imgtool_defocus.auto.network import load_focus
from imgtool_defocus.auto.quality import hits, rule_of
from imgtool_defocus.depth import distance_of_middle, largest_cluster
from imgtool_defocus.naming import TASK, load
from imgtool_tabletop.shared import subjects
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world.sample import BROAD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from imgtool.engine.python import StageCall
    from imgtool_defocus.auto.network import FocusNet
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


def in_words(share: float, count: int) -> str:
    """A share of `count`, and its interval."""
    low, high = wilson(share, count)
    return f"{share:6.1%} [{low:.1%}, {high:.1%}]"


def named(count: int, estimate: bool, size: int) -> Iterator[tuple[Mapping[str, Tensor], int, str]]:
    """Scenes of two solids or more that no name is given twice; one of them, and its name."""
    see = subjects(size=size, seed=SEED, held_out=True)
    at = found = 0
    while found < count:
        solids = scene_at(SEED, at, BROAD, held_out=True).solids
        names = [f"{solid.colour} {solid.shape}" for solid in solids]
        if len(names) > 1 and len(set(names)) == len(names):
            which = found % len(names)
            (scene,) = estimated([see(at)]) if estimate else [see(at)]
            yield scene, which, names[which]
            found += 1
        at += 1


@torch.inference_mode()
def report_named(ref: str, net: FocusNet, given: argparse.Namespace) -> None:
    """Print a line for each rule, and how often the named solid has most of what was found."""
    runtime = Runtime()
    find = load(runtime.model(ref, TASK).path, runtime.torch_device)
    look = rule_of(net, "median")
    on: dict[str, list[bool]] = {"named": [], "network, median": [], "middle": [], "found": []}
    for scene, which, name in named(given.scenes, given.estimated, given.size):
        code, depth = scene["image"] / 255.0, scene["depth"]
        there = find(code, name, runtime)
        distances = {
            "named": largest_cluster(depth[there]),
            "network, median": look(code, depth),
            "middle": distance_of_middle(depth),
        }
        near, far = float(scene["nearest_m"][which]), float(scene["farthest_m"][which])
        for rule, metres in distances.items():
            on[rule].append(near <= metres <= far)
        counts = scene["labels"][there].long().bincount(minlength=which + 2)[1:]
        on["found"].append(int(counts.argmax()) == which and int(counts[which]) > 0)
    for rule, hits_of in on.items():
        sys.stdout.write(f"{rule:20} {in_words(statistics.fmean(hits_of), len(hits_of))}\n")


def main() -> None:
    """Print a line for each rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="defocus/tabletop")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--estimated", action="store_true")
    parser.add_argument("--named", metavar="MODEL", help="what finds solids by name")
    given = parser.parse_args()
    torch.set_num_threads(1)
    net = load_focus(Runtime().model(given.model, "focus-distance").path)
    if given.named:
        report_named(given.named, net, given)
        return
    see = subjects(size=given.size, seed=SEED, held_out=True)
    scenes = [see(at) for at in range(given.scenes)]
    if given.estimated:
        scenes = estimated(scenes)
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
        shares = (in_words(share, len(scenes)) for share in found)
        sys.stdout.write("{:20} on the largest {}  on any {}\n".format(name, *shares))


if __name__ == "__main__":
    main()
