"""Pairs to train on: made when first asked for, kept in a file, cut and turned anew each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from imgtool_sr.pocketsr.config import CELL

if TYPE_CHECKING:
    from pathlib import Path

Pairs: TypeAlias = Callable[[int], tuple[Tensor, Tensor]]
"""From a number to a sharp picture and its small one, [3, ·, ·] uint8."""
LARGE: Final = 128
"""Sides of sharp pictures, pixels."""


def widened(small: Tensor, height: int, width: int) -> Tensor:
    """[3, height, width] uint8 of [3, h, w] uint8, as the stage enlarges: Pillow's bicubic."""
    picture = Image.fromarray(small.permute(1, 2, 0).contiguous().numpy())
    made = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    return torch.from_numpy(made.copy()).permute(2, 0, 1)


def pair_at(pairs: Pairs, index: int) -> tuple[Tensor, Tensor]:
    """The small picture enlarged, and the sharp one, [3, H, W] float32 in 0..1."""
    large, small = pairs(index)
    return widened(small, *large.shape[1:]) / 255.0, large / 255.0


class Pool:
    """`count` pairs of several kinds; pair i is of kind i modulo their number.

    Batches depend on seed and step alone.
    """

    def __init__(self, path: Path, kinds: Sequence[Pairs], count: int) -> None:
        self._kinds, self._count = kinds, count
        shape = (count, 2, 3, LARGE, LARGE)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._made = _array(path.with_suffix(".made"), (count,))
        self._kept = _array(path, shape)

    def pair(self, index: int) -> Tensor:
        """[2, 3, LARGE, LARGE] uint8: enlarged and sharp."""
        if not self._made[index]:
            kinds = len(self._kinds)
            large, small = self._kinds[index % kinds](index // kinds)
            wide = widened(small, *large.shape[1:])
            self._kept[index] = torch.stack([wide, large]).numpy()
            self._made[index] = 1
        return torch.from_numpy(self._kept[index])

    def batch(self, seed: int, step: int, size: int, crop: int) -> tuple[Tensor, Tensor]:
        """Enlarged and sharp pictures [size, 3, crop, crop] in 0..1, mirrored and turned at random.

        Corners lie on the cells of the latent, as those of tiles do.
        """
        rng = np.random.default_rng((seed, step))
        cuts = []
        for index in rng.integers(0, self._count, size):
            top, left = rng.integers(0, (LARGE - crop) // CELL + 1, 2) * CELL
            cut = self.pair(int(index))[..., top : top + crop, left : left + crop]
            cut = cut.rot90(int(rng.integers(4)), (-2, -1))
            cut = cut.flip(-1) if rng.random() < 0.5 else cut
            # Colours have no place of their own among pictures of random ones.
            cuts.append(cut[:, torch.from_numpy(rng.permutation(3))])
        wide, true = (torch.stack(cuts) / 255.0).unbind(1)
        return wide, true


def _array(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    mode: Literal["r+", "w+"] = "r+" if path.exists() else "w+"
    return np.memmap(path, dtype=np.uint8, mode=mode, shape=shape)
