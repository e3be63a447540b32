"""Rows for `defocus.thinlens`: two halves, one near and one far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imgtool.api import Batch, Runtime
from imgtool_defocus.stage import ThinLens, ThinLensParams

if TYPE_CHECKING:
    from imgtool.registry import Registry

HEIGHT, WIDTH = 24, 36


def opened(registry: Registry, **params: Any) -> ThinLens:
    stage = ThinLens()
    stage.open(ThinLensParams(**params), Runtime(device="cpu", registry=registry))
    return stage


def picture() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def halves() -> np.ndarray:
    """Depth: the left half at 1 m, the right half at 10 m."""
    depth = np.full((HEIGHT, WIDTH), 10.0, dtype=np.float32)
    depth[:, : WIDTH // 2] = 1.0
    return depth


def batch(*depths: np.ndarray, **columns: Any) -> Batch:
    ids = tuple(str(at) for at in range(len(depths)))
    images = [picture() for _ in depths]
    return Batch(ids, {"image": images, "depth": list(depths), "seed": [0] * len(ids), **columns})


def facts(made: Batch) -> dict[str, Any]:
    (record,) = made["defocus"]
    assert isinstance(record, dict)
    return record
