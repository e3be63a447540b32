"""Pictures to train on: made when first asked for, kept in files, mirrored and coloured anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

IMAGE: Final = "image"


class Photographs:
    """`count` examples with named layers; batches depend on seed and step alone.

    Parameters
    ----------
    example : from a number to its layers; `image` is [3, S, S] uint8.
    layers : type and shape of those to keep; what has two axes or more lies over the picture.
    """

    def __init__(
        self,
        folder: Path,
        example: Callable[[int], Mapping[str, Any]],
        count: int,
        layers: Mapping[str, tuple[type, tuple[int, ...]]],
    ) -> None:
        self._example, self._count = example, count
        folder.mkdir(parents=True, exist_ok=True)
        self._made = _array(folder / "made", np.uint8, (count,))
        self._kept = {
            name: _array(folder / name, dtype, (count, *shape))
            for name, (dtype, shape) in layers.items()
        }

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        """Drawn and mirrored at random, colours exchanged; the picture is float32, 0..1."""
        rng = np.random.default_rng((seed, step))
        rows = rng.integers(0, self._count, size)
        for row in rows[self._made[rows] == 0]:
            self._make(int(row))
        mirrored = torch.from_numpy(rng.random(size) < 0.5)
        drawn = {name: torch.from_numpy(kept[rows]) for name, kept in self._kept.items()}
        for name, values in drawn.items():
            if values.ndim > 2:
                at = mirrored.reshape(-1, *(1 for _ in values.shape[1:]))
                drawn[name] = torch.where(at, values.flip(-1), values)
        # No colour is a sign of a subject.
        colours = torch.from_numpy(rng.permuted(np.tile(np.arange(3), (size, 1)), axis=1))
        drawn[IMAGE] = drawn[IMAGE][torch.arange(size)[:, None], colours] / 255.0
        return drawn

    def _make(self, row: int) -> None:
        if self._made[row]:
            return
        found = self._example(row)
        for name, kept in self._kept.items():
            kept[row] = found[name].numpy()
        self._made[row] = 1


def _array(path: Path, dtype: type, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    mode: Literal["r+", "w+"] = "r+" if path.exists() else "w+"
    return np.memmap(path, dtype=dtype, mode=mode, shape=shape)
