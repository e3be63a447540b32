"""The declaration of `defocus.thinlens`. What it does is in the modules beside it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import (
    COC,
    DEPTH,
    DEPTH_KIND,
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
from imgtool_defocus.units import SENSORS, focus_of, metres_of, sensor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    import numpy as np

    from imgtool.api import Batch, Row, Runtime
    from imgtool_defocus.lens import LensModel
    from imgtool_defocus.thinlens import Camera, Exposure

    T = TypeVar("T")

FACTS = Field("defocus", Kind.RECORD, summary="Every value of the lens, its focus and its range.")
COMPONENT = "lens"


@dataclass(frozen=True)
class ThinLensParams:
    """Parameters of `defocus.thinlens`."""

    f_number: Annotated[float, Help("F-number; smaller blurs more."), Bounds(0.5, 128)] = 2.8
    focal_length: Annotated[str, Help("Focal length, such as 85mm.")] = "50mm"
    focus_at: Annotated[
        str,
        Help(
            "What is sharp: a distance (2.4m, 8ft, inf), a place (640,300 or 40%,55%), or auto: "
            "what takes most of the middle."
        ),
    ] = "auto"
    sensor: Annotated[
        str,
        Help("Sensor: a name, WxHmm or crop=1.5."),
        Choices(tuple(SENSORS), closed=False),
    ] = "full-frame"
    near: Annotated[str, Help("Nearest depth of a map that is not in metres.")] = "1m"
    far: Annotated[str, Help("Farthest depth of a map that is not in metres.")] = "20m"
    lens_model: Annotated[
        str,
        Help("How to render."),
        Choices(("layered", "scatter", "gather"), closed=False),
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

    Depth without `depth_kind` is in metres where it exceeds 1; else it runs from `near` to `far`.
    """

    id = "defocus.thinlens"
    summary = "Blur a sharp picture by its depth, as a lens would have."
    default_of_family = True
    consumes = (IMAGE, DEPTH, optional(DEPTH_KIND))
    produces = (IMAGE, COC, FACTS)
    check_params = MappingProxyType({"focus_at": "3m", "f_number": 1.4, "focal_length": "85mm"})

    camera: Camera
    model: LensModel

    def open(self, params: ThinLensParams, runtime: Runtime) -> None:
        """Read what was written in words, and find the lens model.

        Raises
        ------
        BadParams : a value means nothing, or the focus is nearer than the focal length.
        UnknownComponent : no plugin has this lens model.
        """
        self.params, self.runtime = params, runtime
        self.camera = camera_of(params)
        self.model = runtime.component(COMPONENT, params.lens_model)  # type: ignore[assignment]

    def process(self, batch: Batch) -> Batch:
        """The picture through the lens, its blur discs, and what was used and found."""
        columns: dict[str, list[Any]] = {"image": [], COC.name: [], FACTS.name: []}
        odd: dict[str, Failure] = {}
        for row in batch:
            values: Sequence[object] = (None, None, None)
            try:
                values = self.runtime.halving(self._taken, [row], 1)[0]
            except ValueError as err:
                odd[row.id] = Failure(self.id, "RowError", str(err))
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        return batch.with_columns(**columns).fail(odd)

    def _taken(self, rows: Sequence[Row]) -> list[tuple[np.ndarray, np.ndarray, dict[str, object]]]:
        taken = [self._take(row) for row in rows]
        return [
            (
                shot.code.mul(255.0).round().byte().permute(1, 2, 0).cpu().numpy(),
                shot.coc.cpu().numpy(),
                shot.facts,
            )
            for shot in taken
        ]

    def _take(self, row: Row) -> Exposure:
        import torch

        from imgtool_defocus.thinlens import take

        device = self.runtime.torch_device
        image, depth = (
            torch.tensor(row[name], dtype=torch.float32, device=device)
            for name in ("image", "depth")
        )
        kind = str(row.values.get(DEPTH_KIND.name) or "")
        with torch.inference_mode():
            return take(self.camera, self.model, image.permute(2, 0, 1) / 255.0, depth, kind)


def camera_of(params: ThinLensParams) -> Camera:
    """The camera that parameters describe.

    Raises
    ------
    BadParams : one of them means nothing.
    """
    from imgtool_defocus.aperture import Aperture
    from imgtool_defocus.thinlens import Camera

    near_m, far_m = _read("near", metres_of, params.near), _read("far", metres_of, params.far)
    focal_m = _read("focal-length", lambda text: metres_of(text, "mm"), params.focal_length)
    focus = _read("focus-at", focus_of, params.focus_at)
    if not near_m < far_m:
        raise BadParams(f"--near {params.near} is not nearer than --far {params.far}")
    if focus.metres is not None and focus.metres <= focal_m:
        raise BadParams(
            f"--focus-at {params.focus_at} is nearer than --focal-length {params.focal_length}",
            "Give a greater distance, or a shorter focal length",
        )
    return Camera(
        focal_mm=1000.0 * focal_m,
        f_number=params.f_number,
        focus=focus,
        sensor_mm=_read("sensor", sensor_of, params.sensor),
        near_m=near_m,
        far_m=far_m,
        most_coc=params.max_coc / 100.0,
        highlight_boost=params.highlight_boost,
        aperture=Aperture(params.blades, params.blade_rotation, params.blade_curvature),
    )


def _read(flag: str, reader: Callable[[str], T], text: str) -> T:
    try:
        return reader(text)
    except ValueError as err:
        raise BadParams(f"--{flag}: {err}", "imgtool defocus --help shows what it takes") from None
