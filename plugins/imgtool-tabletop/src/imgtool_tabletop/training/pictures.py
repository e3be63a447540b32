"""Pictures for training and measuring: some spoilt, some unseen, and what is known of each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.training.judge import disturb
from imgtool_tabletop.world.sample import BROAD
from imgtool_tabletop.world.scene import Scene


def partly_disturbed(pictures: Tensor, share: float, step: int) -> Tensor:
    """The first `share` of [B, 3, H, W] pictures in -1..1 blurred, noised and re-lit.

    Generated pictures are never as clean as renders.
    """
    count = round(share * len(pictures))
    if count == 0:
        return pictures
    generator = torch.Generator().manual_seed(step)
    spoilt = disturb((pictures[:count] + 1) / 2, generator) * 2 - 1
    return torch.cat((spoilt, pictures[count:]))


def measured_scenes(count: int, seed: int) -> list[Scene]:
    """Scenes of all the variety that training had, two of three of them combinations it had not."""
    return [scene_at(seed, index, BROAD, held_out=index % 3 != 0) for index in range(count)]


class KeptRows:
    """An array a picture, computed when first asked for and kept in a file.

    compute : arrays [n, *shape] of pictures `rows` [n]; they must not end in 0.
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...], compute: Callable[[np.ndarray], Tensor]
    ) -> None:
        self._compute = compute
        mode = "r+" if path.exists() else "w+"
        self._kept: np.memmap = np.memmap(path, np.float16, mode, shape=shape)  # type: ignore[call-overload]
        self._last = (slice(None), *(-1 for _ in shape[1:]))

    def rows(self, rows: np.ndarray) -> Tensor:
        """[n, *shape] float32 of pictures `rows`."""
        # Written from first to last, so an array that a kill cut short still ends in 0.
        missing = np.unique(rows[self._kept[rows][self._last] == 0])
        if len(missing):
            self._kept[missing] = self._compute(missing).numpy()
        return torch.from_numpy(self._kept[rows]).float()
