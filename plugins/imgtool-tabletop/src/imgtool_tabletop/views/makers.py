"""The views as makers: `imgtool data.tabletop/pairs --count 1000 -o pairs/`, and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from imgtool.api import Maker
from imgtool_tabletop.views.params import (
    CamerasParams,
    DataParams,
    DefocusParams,
    EditsParams,
    InstancesParams,
    LeavesParams,
    ScalesParams,
    SceneParams,
    TexturesParams,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgtool.api import Runtime

P = TypeVar("P", bound=DataParams)


class _DataMaker(Maker[P], Generic[P]):
    task = "training-data"

    def make(self, params: P, inputs: Mapping[str, Path], out_dir: Path, runtime: Runtime) -> None:
        """Write the view of this maker's name; a stopped command goes on when given again."""
        import torch

        from imgtool_tabletop.trainer import report
        from imgtool_tabletop.views.catalogue import VIEWS
        from imgtool_tabletop.views.writing import write_view

        view = VIEWS[self.id.rpartition("/")[2]](params)
        threads = torch.get_num_threads()
        # Files must not depend on the machine: sums of several threads round otherwise.
        torch.set_num_threads(1)
        try:
            write_view(view, out_dir, runtime.journal, report)
        finally:
            torch.set_num_threads(threads)


class PairsData(_DataMaker[SceneParams]):
    """Pictures and captions."""

    id = "data.tabletop/pairs"
    summary = "Make pictures with captions."


class DefocusData(_DataMaker[DefocusParams]):
    """Depth of field."""

    id = "data.tabletop/defocus"
    summary = "Make pictures in and out of focus, with depth, blur discs and the lens."


class CamerasData(_DataMaker[CamerasParams]):
    """Several views of a scene."""

    id = "data.tabletop/cameras"
    summary = "Make several views of each scene, with depth and cameras."


class InstancesData(_DataMaker[InstancesParams]):
    """Masks, boxes and crops."""

    id = "data.tabletop/instances"
    summary = "Make pictures with masks, boxes, crops and other views of their solids."


class EditsData(_DataMaker[EditsParams]):
    """Counterfactuals."""

    id = "data.tabletop/edits"
    summary = "Make pictures with and without a solid, and with another in its place."


class ScalesData(_DataMaker[ScalesParams]):
    """Large and small."""

    id = "data.tabletop/scales"
    summary = "Make pairs of large and small pictures at any scale."


class LeavesData(_DataMaker[LeavesParams]):
    """Dead leaves."""

    id = "data.tabletop/leaves"
    summary = "Make dead leaves: pictures with the statistics of photographs."


class TexturesData(_DataMaker[TexturesParams]):
    """Noise, gradients, gratings and shapes."""

    id = "data.tabletop/textures"
    summary = "Make pictures of noise, gradients, gratings and shapes."
