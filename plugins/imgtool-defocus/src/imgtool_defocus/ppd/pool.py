"""Pictures and depth to train on: made when first asked for, and kept in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from pathlib import Path

Scenes: TypeAlias = Callable[[Sequence[int]], tuple[Tensor, Tensor]]
"""From numbers to pictures [n, 3, S, S] uint8 and their depth [n, S, S] float32, metres."""


class Pool:
    """`count` pictures, `size` pixels square. Batches depend on seed and step alone."""

    def __init__(self, folder: Path, scenes: Scenes, count: int, size: int) -> None:
        self._scenes, self._count = scenes, count
        folder.mkdir(parents=True, exist_ok=True)
        self._pictures = _array(folder / "pictures.u8", np.uint8, (count, 3, size, size))
        self._depths = _array(folder / "depths.f32", np.float32, (count, size, size))
        self._made = _array(folder / "made.u8", np.uint8, (count,))

    def rows(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Pictures [n, 3, S, S] float32 in 0..1 and depth [n, S, S], metres."""
        missing = np.unique(rows[self._made[rows] == 0])
        if len(missing):
            pictures, depths = self._scenes(missing.tolist())
            self._pictures[missing], self._depths[missing] = pictures.numpy(), depths.numpy()
            self._made[missing] = 1
        return torch.from_numpy(self._pictures[rows]) / 255.0, torch.from_numpy(self._depths[rows])

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """`size` pictures and their depth, mirrored left to right at random."""
        pictures, depths = self.rows(rng.integers(0, self._count, size))
        mirrored = torch.from_numpy(rng.random(size) < 0.5)
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures)
        return pictures, torch.where(mirrored[:, None, None], depths.flip(-1), depths)


def _array(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    mode: Literal["r+", "w+"] = "r+" if path.exists() else "w+"
    return np.memmap(path, dtype=dtype, mode=mode, shape=shape)
