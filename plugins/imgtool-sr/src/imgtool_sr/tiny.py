"""Random nets of a few thousand weights in the formats that upscalers are published in.

`imgtool plugin check` and tests try stages on them. They enlarge, and mean nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from pathlib import Path


def save_compact(path: Path, scale: int = 2, channels: int = 3, layers: int = 2) -> Path:
    """A Compact checkpoint (SRVGGNetCompact): of radius `layers` + 2, for `scale`."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    width = 8
    net: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.PReLU(width)]
    for _ in range(layers):
        net += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
    net.append(nn.Conv2d(width, channels * scale**2, 3, padding=1))
    weights = {f"body.{name}": value for name, value in nn.Sequential(*net).state_dict().items()}
    save_file(weights, path)
    return path
