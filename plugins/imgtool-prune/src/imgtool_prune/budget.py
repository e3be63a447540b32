"""Sparsities of layers under one budget, from Hessians of the network as it was."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from imgtool.api import write_file
from imgtool_prune.allocation import ErrorCurve, allocate
from imgtool_prune.architectures import linear_at
from imgtool_prune.packages import gather
from imgtool_prune.statistics import Hessian

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from imgtool_prune.architectures import Unit
    from imgtool_prune.calibration import Calibration
    from imgtool_prune.methods import Obs

# No layer loses everything for the sake of another.
MOST = 0.95
log = logging.getLogger("imgtool.prune")


@dataclass(frozen=True)
class Budget:
    """How much of each layer goes, for any sparsity of those that have none of their own.

    Attributes
    ----------
    own : sparsity by path of layers that keep it.
    free : paths of all others.
    curves : by path; none: the free layers are alike.
    spread : most that a free layer's sparsity may differ from the whole's.
    """

    own: Mapping[str, float]
    free: Sequence[str]
    curves: Mapping[str, ErrorCurve] = field(default_factory=dict)
    spread: float = 0.0

    def shares(self, sparsity: float) -> dict[str, float]:
        """Sparsity by path."""
        if not self.curves:
            return {**self.own, **dict.fromkeys(self.free, sparsity)}
        low = max(sparsity - self.spread, 0.0)
        high = max(min(sparsity + self.spread, MOST), sparsity)
        curves = [self.curves[path] for path in self.free]
        found = zip(self.free, allocate(curves, sparsity, low, high), strict=True)
        return {**self.own, **dict(found)}


def expected_errors(
    calibration: Calibration, method: Obs, packages: Sequence[Sequence[Unit]], notes: Path
) -> dict[str, ErrorCurve]:
    """How the error of each layer is expected to grow with its sparsity, by path.

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
    return curves


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
    return curves


def _curve(size: int, sparsities: list[float], errors: list[float]) -> ErrorCurve:
    return ErrorCurve(size, tuple(sparsities), tuple(errors))
