"""Tiles as tensors, and a net that goes on in float32 where lower precision fails."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from imgtool_sr.stitching import Tile

log = logging.getLogger("imgtool.sr")


def stacked(tiles: Sequence[Tile]) -> Tensor:
    """[B, 3, h, w] float32 of tiles of one shape."""
    return torch.from_numpy(np.stack([tile.pixels for tile in tiles])).permute(0, 3, 1, 2)


def pictures(made: Tensor) -> list[np.ndarray]:
    """[h, w, 3] float32 each of [B, 3, h, w].

    Raises
    ------
    ValueError : some number is none (NaN).
    """
    if not bool(made.isfinite().all()):
        raise ValueError("the model gave numbers that are no numbers (NaN)")
    return list(made.permute(0, 2, 3, 1).float().cpu().numpy())


class Guarded:
    """A net on a device; what is not finite is computed again in float32.

    net : called with pixels; has `float`, as modules have.
    """

    def __init__(self, net: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.net, self.device, self.dtype = net, device, dtype
        self._wide: Any = None

    def __call__(self, pixels: Tensor) -> Tensor:
        """float32 on the CPU."""
        with torch.inference_mode():
            made: Tensor = self.net(pixels.to(self.device, self.dtype)).float().cpu()
            if not bool(made.isfinite().all()) and self.dtype != torch.float32:
                made = self._in_float32()(pixels.to(self.device)).cpu()
            return made

    def _in_float32(self) -> Any:
        if self._wide is None:
            log.warning("%s gave NaN: going on in float32 where it does", self.dtype)
            self._wide = copy.deepcopy(self.net).float()
        return self._wide
