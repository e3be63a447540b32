"""Statistics of the dense network, gathered once and kept on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from imgtool.api import write_file
from imgtool_prune.calibration import Calibration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgtool_prune.statistics import Accumulator


class Gathered(Calibration):
    """A calibration that runs once: asked again for a layer, it gives what it gave first.

    Attributes
    ----------
    notes : folder with a file for each input, of this calibration alone.
    """

    def __init__(self, calibration: Calibration, notes: Path) -> None:
        super().__init__(calibration.pipe, calibration.denoiser, calibration.trajectories)
        self.notes = notes

    def gather(self, wanted: Mapping[str, Accumulator]) -> None:
        """See `Calibration.gather`; the network counts where a layer is met for the first time."""
        unknown = {path: each for path, each in wanted.items() if not self._file(path).is_file()}
        if unknown:
            super().gather(unknown)
        for path, accumulator in wanted.items():
            if path in unknown:
                self._write(path, accumulator)
            else:
                self._read(path, accumulator)

    def _write(self, path: str, accumulator: Accumulator) -> None:
        from safetensors.torch import save

        state = {name: sums.cpu().contiguous() for name, sums in accumulator.state().items()}
        write_file(self._file(path), save(state, {"alphas": json.dumps(self.alphas)}))

    def _read(self, path: str, accumulator: Accumulator) -> None:
        from safetensors import safe_open

        with safe_open(self._file(path), framework="pt") as stored:
            self.alphas = json.loads(stored.metadata()["alphas"])
            accumulator.restore({name: stored.get_tensor(name) for name in stored.keys()})

    def _file(self, path: str) -> Path:
        return self.notes / f"seen-{path}.safetensors"
