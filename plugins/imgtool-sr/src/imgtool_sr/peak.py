"""How much memory a net takes for each pixel, and so how large its tiles may be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

TILES: Final = (64, 96, 128, 192, 256, 384, 512)
"""Edges that tiles get: few, so that a bit more free memory changes nothing."""
SHARE: Final = 0.4
"""Of the free memory that tiles may take; kernels have workspaces that are not seen here."""


class LiveBytes:
    """Counts the bytes of what modules of a net take and give that are held at once.

    What a function makes inside a module is seen when the next module takes it. A dispatch mode
    would see all, and imports sympy for it.

    Attributes
    ----------
    peak : the most there were.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._live: dict[StorageWeakRef, int] = {}

    def __call__(self, module: nn.Module, taken: Any, given: Any) -> None:
        """After a module has run: what is held now."""
        for value in tree_leaves((taken, given)):
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                self._live[StorageWeakRef(storage)] = storage.nbytes()
        self._live = {ref: size for ref, size in self._live.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self._live.values()))


def bytes_per_pixel(
    nets: Iterable[nn.Module], run: Callable[[int], object], edge: int = TILES[0]
) -> float:
    """Bytes that `nets` hold at once for each pixel of a tile, while `run` does one."""
    live = LiveBytes()
    hooks = [part.register_forward_hook(live) for net in nets for part in net.modules()]
    try:
        run(edge)
    finally:
        for hook in hooks:
            hook.remove()
    return live.peak / edge**2


def tile_edge(free_bytes: int, per_pixel: float, at_once: int) -> int:
    """The largest edge of `TILES` of which `at_once` fit; the middle one where memory is unknown.

    The least one is given even where it seems not to fit: a row that runs out says so itself.
    """
    if not free_bytes or not per_pixel:
        return TILES[len(TILES) // 2]
    edge = math.sqrt(SHARE * free_bytes / (per_pixel * at_once))
    return max((size for size in TILES if size <= edge), default=TILES[0])
