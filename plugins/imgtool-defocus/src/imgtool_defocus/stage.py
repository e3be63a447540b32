"""The declaration of `defocus.thinlens`. What it does is in the modules beside it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from imgtool.api import BadParams, Help, ModelRef
from imgtool_defocus.lens_stage import Aim, LensParams, LensStage

if TYPE_CHECKING:
    from imgtool.api import Runtime
    from imgtool_defocus.naming import Finder
    from imgtool_defocus.thinlens import Scene

TASK = "image-text-similarity"


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
    focus_on: Annotated[
        str, Help("What is sharp, in words, such as red cube; focus_model looks for it.")
    ] = ""
    focus_model: Annotated[
        str,
        Help("CLIP or CLIPSeg that finds it: alias, folder or hub id, such as tabletop/clip."),
        ModelRef(TASK),
    ] = ""
    rack: Annotated[
        str, Help("Focus from one distance to another: 1m..10m:24 for 24 pictures.")
    ] = ""


class ThinLens(LensStage[ThinLensParams]):
    """The focus is where a photographer puts it."""

    id = "defocus.thinlens"
    summary = "Blur a sharp picture by its depth, as a lens would have."
    default_of_family = True
    version = 6
    check_params = MappingProxyType({"focus_at": "3m", "f_number": 1.4, "focal_length": "85mm"})

    find: Finder | None

    def open(self, params: ThinLensParams, runtime: Runtime) -> None:
        """Read what was written in words, and find the lens model.

        Raises
        ------
        BadParams : a value means nothing, or the focus is nearer than the focal length.
        UnknownComponent : no plugin has this lens model.
        ModelUnusable : the model finds nothing by name.
        """
        from imgtool_defocus.camera import ASPECT, camera_of, focuses_of
        from imgtool_defocus.exif import Taken

        super().open(params, runtime)
        focal_mm = camera_of(params, Taken(), ASPECT)[0].focal_mm
        # Where nobody names a lens each picture has its own, which `aim` looks at.
        focuses_of(params, focal_mm if params.focal_length else 0.0)
        if bool(params.focus_on) != bool(params.focus_model):
            raise BadParams(
                "--focus-on and --focus-model go together: what is sharp, and what finds it",
                "tabletop/clip knows solids on a table, CIDAS/clipseg-rd64-refined photographs",
            )
        self.find = self._finder() if params.focus_on else None

    def _finder(self) -> Finder:
        from imgtool_defocus.naming import load

        model, device = self.runtime.model(self.params.focus_model, TASK), self.runtime.torch_device
        key = ("naming", model.digest, str(device))
        return self.runtime.load_once(key, lambda: load(model.path, device))

    def aim(self, scene: Scene, focal_mm: float) -> Aim:
        """The focus or the rack that was asked for, or the distance of what was named."""
        from imgtool_defocus.camera import focuses_of
        from imgtool_defocus.depth import largest_cluster
        from imgtool_defocus.thinlens import distance_of

        if self.find is None:
            focuses = focuses_of(self.params, focal_mm)
            return Aim([distance_of(focus, scene.depth) for focus in focuses])
        device, text = self.runtime.torch_device, self.params.focus_on
        there = self.find(scene.code.to(device), text, self.runtime).to(scene.depth.device)
        facts = {"focus_on": text, "focus_share": float(there.double().mean())}
        return Aim([largest_cluster(scene.depth[there])], facts)

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: ThinLensParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        ref = params.focus_model
        return runtime.model(ref, TASK).weight_bytes if ref else 0
