"""The declaration of `depth.ppd`: depth by a flow in pixels, without points that fly at edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from imgtool.api import Bounds, Help, ModelRef
from imgtool_defocus.depth_stage import TASK, Estimating
from imgtool_defocus.estimate import PPD, Options

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class PpdParams:
    """Parameters of `depth.ppd`."""

    model: Annotated[
        str, Help("Alias, or folder that `imgtool train depth.ppd` wrote."), ModelRef(TASK)
    ] = "tabletop/ppd"
    size: Annotated[
        int, Help("Longer side at which the model looks, pixels; 0: its own."), Bounds(0, 8192)
    ] = 0
    steps: Annotated[int, Help("Steps from noise to depth; 0: four."), Bounds(0, 1000)] = 0
    metric_from: Annotated[
        str, Help("Model of metres to which the map is fitted."), ModelRef(TASK)
    ] = ""


class Ppd(Estimating[PpdParams]):
    """Denoises the depth of a picture, guided by semantic prompts."""

    id = "depth.ppd"
    summary = "Estimate depth by Pixel-Perfect Depth: a flow in pixels, sharp at edges."

    def backend(self, folder: Path) -> str:
        """Always the same."""
        return PPD

    def options(self) -> Options:
        """Size and steps."""
        return Options(self.params.size, self.params.steps)

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A net of random weights."""
        from imgtool_defocus.tiny import save_ppd

        return {"model": str(save_ppd(folder / "ppd"))}
