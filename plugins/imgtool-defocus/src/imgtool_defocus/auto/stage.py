"""The declaration of `defocus.auto`."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from imgtool.api import Field, Help, Kind, ModelRef, ModelUnusable
from imgtool_defocus.auto.config import Average  # noqa: TC001  # read by the declaration
from imgtool_defocus.lens_stage import Aim, LensParams, LensStage

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.api import Runtime
    from imgtool_defocus.auto.network import FocusNet
    from imgtool_defocus.thinlens import Scene

TASK = "focus-distance"
SALIENCY = Field(
    "saliency", Kind.ARRAY, ("H", "W"), "float32", "What counts for the focus, 0 to 1."
)


@dataclass(frozen=True)
class AutoParams(LensParams):
    """Parameters of `defocus.auto`."""

    model: Annotated[
        str, Help("Focus network: alias, or a folder of its trainer."), ModelRef(TASK)
    ] = "defocus/tabletop"
    focus_average: Annotated[
        Average,
        Help("How depth is averaged over what is looked at; a mean may be where nothing is."),
    ] = "median"


class Auto(LensStage[AutoParams]):
    """The focus is where a network that learned from photographs would put it.

    The aperture may change and the focus does not: neither model nor depth are told of it.
    """

    id = "defocus.auto"
    version = 3
    summary = "Blur a sharp picture by its depth, focused where a network looks."
    produces = (*LensStage.produces, SALIENCY)
    check_params = MappingProxyType({"f_number": 1.4, "focal_length": "85mm"})

    net: FocusNet

    def open(self, params: AutoParams, runtime: Runtime) -> None:
        """Load the network.

        Raises
        ------
        BadParams : a value means nothing.
        UnknownComponent : no plugin has this lens model.
        ModelUnusable : the folder holds no focus network.
        """
        super().open(params, runtime)
        model, device = runtime.model(params.model, TASK), runtime.torch_device
        key = (self.id, model.digest, str(device))
        self.net = runtime.load_once(key, lambda: self._loaded(model.path))

    def _loaded(self, folder: Path) -> FocusNet:
        from imgtool_defocus.auto.network import load_focus

        try:
            return load_focus(folder).to(self.runtime.torch_device)
        except ValueError as err:
            raise ModelUnusable(
                f"{str(folder)!r} holds no focus network: {err}",
                "imgtool train defocus.auto -o FOLDER makes one",
            ) from None

    def aim(self, scene: Scene, focal_mm: float) -> Aim:
        """The average distance of what the network looks at."""
        from imgtool_defocus.auto.distance import focus_distance

        code, depth = (
            part[None].to(self.runtime.torch_device) for part in (scene.code, scene.depth)
        )
        looked = self.net(code, depth)
        metres = float(focus_distance(looked.m, depth, self.params.focus_average))
        facts = {"focus_average": self.params.focus_average, "depth_scale": float(looked.scale)}
        saliency = looked.m[0].sigmoid().float().cpu().numpy()
        return Aim([metres], facts, {SALIENCY.name: saliency})

    def close(self) -> None:
        """Let go of the network."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: AutoParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.model, TASK).weight_bytes

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A tiny network of random weights."""
        from imgtool_defocus.auto.tiny import save_tiny

        return {"model": str(save_tiny(folder / "focus"))}
