"""Measures of a picture alone that need no weights. Pictures are [H, W, 3] uint8."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_EDGE = 3


def luma(image: np.ndarray) -> np.ndarray:
    """[H, W] float64, 0..255: Y of BT.601 in full range."""
    weights = np.array([0.299, 0.587, 0.114])
    grey: np.ndarray = image.astype(np.float64) @ weights
    return grey


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian; Pech-Pacheco et al. (2000). Noise counts as sharpness."""
    y = luma(image)
    neighbours = y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:]
    return float((neighbours - 4 * y[1:-1, 1:-1]).var())


def contrast(image: np.ndarray) -> float:
    """Root mean square contrast, 0 to 0.5; Peli (1990)."""
    return float((luma(image) / 255).std())


def colourfulness(image: np.ndarray) -> float:
    """Spread and mean of opponent colours; Hasler and Süsstrunk (2003), their third measure."""
    red, green, blue = np.moveaxis(image.astype(np.float64), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    spread = math.hypot(float(rg.std()), float(yb.std()))
    return spread + 0.3 * math.hypot(float(rg.mean()), float(yb.mean()))


def noise(image: np.ndarray) -> float:
    """Deviation of noise in steps of 255; Immerkær (1996). Fine texture counts as noise."""
    y = luma(image)
    corners = y[:-2, :-2] + y[:-2, 2:] + y[2:, :-2] + y[2:, 2:]
    edges = y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:]
    answer = corners - 2 * edges + 4 * y[1:-1, 1:-1]
    return float(math.sqrt(math.pi / 2) / 6 * np.abs(answer).mean())


def blockiness(image: np.ndarray) -> float:
    """Steps across the 8×8 grid of JPEG over steps elsewhere; 1: no grid to be seen.

    After Wang, Bovik and Evans (2000), in its simplest form: a ratio of mean differences.
    """
    y = luma(image)
    on: list[np.ndarray] = []
    off: list[np.ndarray] = []
    for plane in (y, y.T):
        steps = np.abs(np.diff(plane, axis=1)).mean(0)
        grid = np.arange(1, len(steps) + 1) % 8 == 0
        on.append(steps[grid])
        off.append(steps[~grid])
    elsewhere = float(np.concatenate(off).mean())
    across = np.concatenate(on)
    return float(across.mean()) / elsewhere if len(across) and elsewhere > 0 else 1.0


MEASURES: dict[str, Callable[[np.ndarray], float]] = {
    "sharpness": sharpness,
    "contrast": contrast,
    "colourfulness": colourfulness,
    "noise": noise,
    "blockiness": blockiness,
}
LOWER_IS_BETTER = frozenset({"noise", "blockiness"})
LIMITS: dict[str, tuple[float | None, float | None]] = {
    "contrast": (0.0, 0.5),
    "clipiqa": (0.0, 1.0),
}
