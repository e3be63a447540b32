"""The declaration of `defocus.thinlens`. What it does is in the modules beside it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from imgtool.api import Help
from imgtool_defocus.lens_stage import Aim, LensParams, LensStage

if TYPE_CHECKING:
    from imgtool.api import Runtime
    from imgtool_defocus.thinlens import Scene


@dataclass(frozen=True)
class ThinLensParams(LensParams):
    """Parameters of `defocus.thinlens`."""

    focus_at: Annotated[
        str,
        Help(
            "What is sharp: a distance (2.4m, 8ft, inf), a place (640,300 or 40%,55%), or auto: "
            "what takes most of the middle."
        ),
    ] = "auto"
    rack: Annotated[
        str, Help("Focus from one distance to another: 1m..10m:24 for 24 pictures.")
    ] = ""


class ThinLens(LensStage[ThinLensParams]):
    """The focus is where a photographer puts it."""

    id = "defocus.thinlens"
    summary = "Blur a sharp picture by its depth, as a lens would have."
    default_of_family = True
    version = 5
    check_params = MappingProxyType({"focus_at": "3m", "f_number": 1.4, "focal_length": "85mm"})

    def open(self, params: ThinLensParams, runtime: Runtime) -> None:
        """Read what was written in words, and find the lens model.

        Raises
        ------
        BadParams : a value means nothing, or the focus is nearer than the focal length.
        UnknownComponent : no plugin has this lens model.
        """
        from imgtool_defocus.camera import ASPECT, camera_of, focuses_of
        from imgtool_defocus.exif import Taken

        super().open(params, runtime)
        focuses_of(params, camera_of(params, Taken(), ASPECT)[0].focal_mm)

    def aim(self, scene: Scene, focal_mm: float) -> Aim:
        """The focus or the rack that was asked for."""
        from imgtool_defocus.camera import focuses_of
        from imgtool_defocus.thinlens import distance_of

        focuses = focuses_of(self.params, focal_mm)
        return Aim([distance_of(focus, scene.depth) for focus in focuses])
