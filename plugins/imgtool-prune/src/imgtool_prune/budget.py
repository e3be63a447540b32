"""Sparsities of layers under one budget, from Hessians of the network as it was."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

from imgtool.api import write_file
from imgtool_prune.allocation import ErrorCurve, allocate
from imgtool_prune.architectures import linear_at, paths
from imgtool_prune.packages import gather
from imgtool_prune.statistics import Hessian

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imgtool_prune.architectures import Unit
    from imgtool_prune.calibration import Calibration
    from imgtool_prune.methods import Obs

# No layer loses everything for the sake of another.
MOST = 0.95
log = logging.getLogger("imgtool.prune")


def sparsities(
    calibration: Calibration,
    method: Obs,
    packages: Sequence[Sequence[Unit]],
    sparsity: float,
    spread: float,
    notes: Path,
) -> dict[str, float]:
    """Sparsity by path of layer, at most `spread` from that of the whole.

    Costs one run over all prompts for each package, noted in `notes` when it is done.

    Raises
    ------
    StageFailed : a layer saw no input, or one that is not finite.
    """
    curves: dict[str, ErrorCurve] = {}
    for number, package in enumerate(packages):
        file = notes / f"curves-{number:04d}.json"
        if not file.is_file():
            found = _curves(calibration, method, package)
            text = json.dumps({path: asdict(curve) for path, curve in found.items()})
            write_file(file, text.encode())
        curves |= {path: _curve(**known) for path, known in json.loads(file.read_text()).items()}
        log.info("errors of package %d of %d known", number + 1, len(packages))
    low, high = max(sparsity - spread, 0.0), max(min(sparsity + spread, MOST), sparsity)
    return dict(zip(curves, allocate(list(curves.values()), sparsity, low, high), strict=True))


def _curves(
    calibration: Calibration, method: Obs, package: Sequence[Unit]
) -> dict[str, ErrorCurve]:
    seen = gather(calibration, method, package)
    curves: dict[str, ErrorCurve] = {}
    for layers in (layers for unit in package for layers in unit.inputs):
        hessian = seen.pop(layers[0])
        assert isinstance(hessian, Hessian)
        weights = [linear_at(calibration.denoiser, path).weight.data.float() for path in layers]
        curves |= zip(layers, method.curves(weights, hessian), strict=True)
    assert list(curves) == paths(package)
    return curves


def _curve(size: int, sparsities: list[float], errors: list[float]) -> ErrorCurve:
    return ErrorCurve(size, tuple(sparsities), tuple(errors))
