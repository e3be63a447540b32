"""Whether the focus falls on a subject: the plane in focus passes through its body."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from imgtool_defocus.auto.distance import focus_distance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from imgtool_defocus.auto.config import Average
    from imgtool_defocus.auto.network import FocusNet

    Rule = Callable[[Tensor, Tensor], float]
    Subject = Mapping[str, Tensor]


class Hits(NamedTuple):
    """Shares of scenes.

    Attributes
    ----------
    largest : the focus is on the subject of the most pixels. any : it is on one of them.
    """

    largest: float
    any: float


def hits(rule: Rule, scenes: Iterable[Subject]) -> Hits:
    """How often a rule's distance lies within a subject.

    Parameters
    ----------
    rule : metres, of a picture, [3, H, W], 0..1, and its depth, [H, W], metres.
    scenes : `image`, uint8, `depth`; `labels`, k on subject k - 1; `nearest_m` and `farthest_m` of
        each subject.
    """
    found = []
    for scene in scenes:
        focus_m = rule(scene["image"] / 255.0, scene["depth"])
        within = (scene["nearest_m"] <= focus_m) & (focus_m <= scene["farthest_m"])
        found.append((bool(within[largest(scene["labels"])]), bool(within.any())))
    return Hits(*torch.tensor(found, dtype=torch.float64).mean(0).tolist())


def largest(labels: Tensor) -> int:
    """Index of the subject of the most pixels; `labels` are k on subject k - 1 and 0 elsewhere."""
    return int(labels.flatten().long().bincount(minlength=2)[1:].argmax())


def rule_of(net: FocusNet, average: Average) -> Rule:
    """The network as a rule."""
    device = next(net.parameters()).device

    @torch.no_grad()
    def rule(code: Tensor, depth: Tensor) -> float:
        depth = depth.to(device)[None]
        m, _ = net(code.to(device)[None], depth)
        return float(focus_distance(m, depth, average))

    return rule
