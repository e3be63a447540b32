"""The declaration of `defocus.thinlens`. What it does is in the modules beside it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import (
    COC,
    DEPTH,
    DEPTH_KIND,
    EXIF,
    IMAGE,
    BadParams,
    Bounds,
    Choices,
    Failure,
    Field,
    Help,
    Kind,
    Stage,
    optional,
)
from imgtool_defocus.units import SENSORS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    import numpy as np

    from imgtool.api import Batch, Row, Runtime
    from imgtool_defocus.lens import LensModel
    from imgtool_defocus.thinlens import Exposure

    Shot: TypeAlias = tuple[np.ndarray, np.ndarray, dict[str, object], np.ndarray]

FACTS = Field("defocus", Kind.RECORD, summary="Every value of the lens, its focus and its range.")
COMPONENT = "lens"


@dataclass(frozen=True)
class ThinLensParams:
    """Parameters of `defocus.thinlens`."""

    f_number: Annotated[
        float | None,
        Help("F-number; smaller blurs more; none: that of the EXIF, else 2.8."),
        Bounds(0.5, 128),
    ] = None
    f_numbers: Annotated[
        tuple[float, ...], Help("F-numbers of a series: a picture for each."), Bounds(0.5, 128)
    ] = ()
    focal_length: Annotated[
        str, Help("Focal length, such as 85mm; empty: that of the EXIF, else 50mm.")
    ] = ""
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
    sensor: Annotated[
        str,
        Help("Sensor: a name, WxHmm or crop=1.5; empty: that of the EXIF, else full-frame."),
        Choices(tuple(SENSORS), closed=False),
    ] = ""
    near: Annotated[str, Help("Nearest depth of a map that is not in metres.")] = "1m"
    far: Annotated[str, Help("Farthest depth of a map that is not in metres.")] = "20m"
    lens_model: Annotated[
        str,
        Help("How to render."),
        Choices(("layered", "scatter", "gather", "trace"), closed=False),
    ] = "layered"
    blades: Annotated[int, Help("Blades of the aperture; under 3: a circle."), Bounds(0, 32)] = 0
    blade_rotation: Annotated[float, Help("Turn of the blades, degrees."), Bounds(-360, 360)] = 0.0
    blade_curvature: Annotated[float, Help("0: straight blades; 1: a circle."), Bounds(0, 1)] = 0.0
    highlight_boost: Annotated[
        float, Help("Stops by which clipped lights were brighter than white."), Bounds(0, 10)
    ] = 0.0
    max_coc: Annotated[
        float, Help("Widest blur disc, percent of the picture's width."), Bounds(0, 100)
    ] = 25.0


class ThinLens(Stage[ThinLensParams]):
    """A sharp picture as a lens of real units would have taken it.

    What is not given is taken from the picture's EXIF, and what was used is written there.

    Depth without `depth_kind` is in metres where it exceeds 1; else it runs from `near` to `far`.
    """

    id = "defocus.thinlens"
    summary = "Blur a sharp picture by its depth, as a lens would have."
    default_of_family = True
    version = 3
    consumes = (IMAGE, DEPTH, optional(DEPTH_KIND), optional(EXIF))
    produces = (IMAGE, COC, FACTS, EXIF)
    check_params = MappingProxyType({"focus_at": "3m", "f_number": 1.4, "focal_length": "85mm"})

    model: LensModel

    def open(self, params: ThinLensParams, runtime: Runtime) -> None:
        """Read what was written in words, and find the lens model.

        Raises
        ------
        BadParams : a value means nothing, or the focus is nearer than the focal length.
        UnknownComponent : no plugin has this lens model.
        """
        from imgtool_defocus.camera import ASPECT, series_of
        from imgtool_defocus.exif import Taken

        self.params, self.runtime = params, runtime
        series_of(params, Taken(), ASPECT)
        self.model = runtime.component(COMPONENT, params.lens_model)  # type: ignore[assignment]

    def process(self, batch: Batch) -> Batch:
        """The picture through the lens, its blur discs, and what was used and found.

        A series makes each row as many children.
        """
        taken: list[Any] = []
        odd: dict[str, Failure] = {}
        for row in batch:
            try:
                taken.append(self.runtime.halving(self._taken, [row], 1)[0])
            except (ValueError, BadParams) as err:
                odd[row.id] = Failure(self.id, "RowError", str(err))
        done = batch.fail(odd)
        children = done.expand([len(shots) for shots in taken])
        shots = list(itertools.chain.from_iterable(taken))
        names = (field.name for field in self.produces)
        return children.with_columns(
            **{name: [shot[at] for shot in shots] for at, name in enumerate(names)}
        )

    def _taken(self, rows: Sequence[Row]) -> list[list[Shot]]:
        return [self._series(row) for row in rows]

    def _series(self, row: Row) -> list[Shot]:
        import numpy as np
        import torch

        from imgtool_defocus.camera import series_of
        from imgtool_defocus.exif import taken_with, with_lens
        from imgtool_defocus.thinlens import scene_of, take

        device = self.runtime.torch_device
        image, depth = (
            torch.tensor(row[name], dtype=torch.float32, device=device)
            for name in ("image", "depth")
        )
        kind = str(row.values.get(DEPTH_KIND.name) or "")
        old = row.values.get(EXIF.name)
        exif = old.tobytes() if isinstance(old, np.ndarray) else b""
        cameras, origin = series_of(self.params, taken_with(exif), image.shape[1::-1])
        with torch.inference_mode():
            scene = scene_of(cameras[0], image.permute(2, 0, 1) / 255.0, depth, kind)
            shots = [take(camera, self.model, scene) for camera in cameras]
        diagonal_mm = math.hypot(*cameras[0].sensor_mm)
        return [_arrays(shot, origin, with_lens(exif, shot.lens, diagonal_mm)) for shot in shots]


def _arrays(shot: Exposure, origin: dict[str, str], exif: bytes) -> Shot:
    import numpy as np

    image = shot.code.mul(255.0).round().byte().permute(1, 2, 0)
    facts = {**shot.facts, "from": origin}
    return image.cpu().numpy(), shot.coc.cpu().numpy(), facts, np.frombuffer(exif, dtype=np.uint8)
