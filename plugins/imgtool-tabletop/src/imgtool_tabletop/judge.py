"""A judge that reads objects from pictures; trained on renders alone, blind to every generator.

A small detector on a 16×16 grid, after CenterNet (Zhou et al. 2019, arXiv 1904.07850): a heat map
of object centres, and at each centre the object's shape and colour.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from imgtool_tabletop.world.facts import ObjectFact
from imgtool_tabletop.world.scene import COLOURS, SHAPES

GRID = 16
THRESHOLD = 0.35


class JudgeNet(nn.Module):
    """[B, 3, 64, 64] in 0..1 to [B, 1 + shapes + colours, 16, 16] logits."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        w = width

        def block(inside: int, outside: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inside, outside, 3, stride, 1),
                nn.GroupNorm(8, outside),
                nn.SiLU(),
                nn.Conv2d(outside, outside, 3, 1, 1),
                nn.GroupNorm(8, outside),
                nn.SiLU(),
            )

        self.early = nn.Sequential(block(3, w // 2, 2), block(w // 2, w, 2))
        self.middle = block(w, 2 * w, 2)
        self.late = block(2 * w, 2 * w, 2)
        self.join_middle = nn.Conv2d(2 * w, 2 * w, 1)
        self.join_early = nn.Conv2d(w, 2 * w, 1)
        self.head = nn.Sequential(
            block(2 * w, 2 * w, 1), nn.Conv2d(2 * w, 1 + len(SHAPES) + len(COLOURS), 1)
        )

    def features(self, picture: Tensor) -> Tensor:
        """[B, 2 width, 16, 16]: what the last layer reads."""
        early = self.early(picture * 2 - 1)
        middle = self.middle(early)
        deep = F.interpolate(self.late(middle), scale_factor=2.0) + self.join_middle(middle)
        joined = F.interpolate(deep, scale_factor=2.0) + self.join_early(early)
        return self.head[0](joined)  # type: ignore[no-any-return]

    def forward(self, picture: Tensor) -> Tensor:
        return self.head[1](self.features(picture))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Seen:
    """One object as the judge reads it; `x`, `y` in [-1, 1], right and down."""

    shape: str
    colour: str
    x: float
    y: float
    confidence: float


class Judge:
    """Reads pictures. Loads with `Judge.load(folder)`."""

    def __init__(self, net: JudgeNet) -> None:
        self.net = net.eval()

    @classmethod
    def load(cls, folder: Path) -> "Judge":
        """The judge of a folder with `config.json` and `model.safetensors`."""
        config = json.loads((folder / "config.json").read_text())
        net = JudgeNet(config["width"])
        net.load_state_dict(
            {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
        )
        return cls(net)

    def to(self, device: torch.device) -> "Judge":
        """The same judge, there."""
        self.net.to(device)
        return self

    def read(self, pictures: Tensor) -> list[list[Seen]]:
        """Objects in each of [B, 3, 64, 64] pictures, 0..1, most certain first."""
        return self.look(pictures)[0]

    @torch.no_grad()
    def look(self, pictures: Tensor) -> tuple[list[list[Seen]], Tensor]:
        """What `read` gives, and [B, 2 width] features: the means of the last maps."""
        features = self.net.features(pictures)
        out = self.net.head[1](features)
        return self._found(out), features.mean((2, 3))

    def _found(self, out: Tensor) -> list[list[Seen]]:
        heat = out[:, 0].sigmoid()
        peaks = (heat == F.max_pool2d(heat[:, None], 3, 1, 1)[:, 0]) & (heat > THRESHOLD)
        found: list[list[Seen]] = [[] for _ in range(len(out))]
        for picture, row, column in peaks.nonzero().tolist():
            logits = out[picture, 1:, row, column]
            shape, colour = logits.split((len(SHAPES), len(COLOURS)))
            centre = ((torch.tensor([column, row]) + 0.5) * 2 / GRID - 1).tolist()
            found[picture].append(
                Seen(
                    SHAPES[int(shape.argmax())],
                    COLOURS[int(colour.argmax())],
                    *centre,
                    float(heat[picture, row, column]),
                )
            )
        return [sorted(objects, key=lambda seen: -seen.confidence) for objects in found]


def objects_right(seen: list[Seen], wanted: tuple[ObjectFact, ...]) -> bool:
    """Whether colours and shapes seen are exactly those wanted, none missing and none extra."""
    return sorted((s.colour, s.shape) for s in seen) == sorted(
        (str(w.colour), str(w.shape)) for w in wanted
    )
