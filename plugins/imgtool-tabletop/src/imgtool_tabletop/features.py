"""The judge's features for measures of sets, registered as the extractor `tabletop/judge`.

Numbers before the judge's last layer, averaged over the picture. Distances in them are distances
within the tabletop world, never comparable with those in Inception's features.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.judge import Judge, JudgeNet

if TYPE_CHECKING:
    import numpy as np

    from imgtool.api import Runtime

EDGE = 64


@dataclass(frozen=True)
class JudgeFeatures:
    """[B, 3, 64, 64] float32, 0..1, to [B, width] float32."""

    net: JudgeNet
    width: int
    fingerprint: str
    device: torch.device
    edge: int = EDGE

    @torch.inference_mode()
    def __call__(self, pixels: "np.ndarray") -> "np.ndarray":
        """Features of pictures."""
        found: np.ndarray = self.net(torch.from_numpy(pixels).to(self.device)).mean((2, 3)).cpu()
        return found.numpy()


def judge(runtime: "Runtime", model: str = "") -> JudgeFeatures:
    """The extractor of the shipped judge, or of a folder `model` that `train.tabletop/judge` made.

    Raises
    ------
    ModelUnusable : the folder holds no weights.
    """
    found = runtime.model(model or str(WEIGHTS / "judge"), "judge")
    net = Judge.load(Path(found.path)).net
    width = net.head[1].in_channels
    net.head[1] = nn.Identity()
    device = runtime.torch_device
    return JudgeFeatures(net.to(device), width, f"judge-features/1 {found.digest}", device)
