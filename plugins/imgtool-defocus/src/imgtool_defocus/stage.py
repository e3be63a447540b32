"""The declaration of `defocus.thinlens`. What it does is in the modules beside it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
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
from imgtool_defocus.units import SENSORS, Focus, focus_of, metres_of, rack_of, sensor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias, TypeVar

    import numpy as np

    from imgtool.api import Batch, Row, Runtime
    from imgtool_defocus.lens import LensModel
    from imgtool_defocus.thinlens import Camera, Exposure

    T = TypeVar("T")
    Shot: TypeAlias = tuple[np.ndarray, np.ndarray, dict[str, object]]

FACTS = Field("defocus", Kind.RECORD, summary="Every value of the lens, its focus and its range.")
COMPONENT = "lens"


@dataclass(frozen=True)
class ThinLensParams:
    """Parameters of `defocus.thinlens`."""

    f_number: Annotated[float, Help("F-number; smaller blurs more."), Bounds(0.5, 128)] = 2.8
    f_numbers: Annotated[
        tuple[float, ...], Help("F-numbers of a series: a picture for each."), Bounds(0.5, 128)
    ] = ()
    focal_length: Annotated[str, Help("Focal length, such as 85mm.")] = "50mm"
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

    cameras: list[Camera]
    model: LensModel

    def open(self, params: ThinLensParams, runtime: Runtime) -> None:
        """Read what was written in words, and find the lens model.

        Raises
        ------
        BadParams : a value means nothing, or the focus is nearer than the focal length.
        UnknownComponent : no plugin has this lens model.
        """
        self.params, self.runtime = params, runtime
        self.cameras = series_of(params)
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
            except ValueError as err:
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
        import torch

        from imgtool_defocus.thinlens import scene_of, take

        device = self.runtime.torch_device
        image, depth = (
            torch.tensor(row[name], dtype=torch.float32, device=device)
            for name in ("image", "depth")
        )
        kind = str(row.values.get(DEPTH_KIND.name) or "")
        with torch.inference_mode():
            scene = scene_of(self.cameras[0], image.permute(2, 0, 1) / 255.0, depth, kind)
            return [_arrays(take(camera, self.model, scene)) for camera in self.cameras]


def _arrays(shot: Exposure) -> Shot:
    image = shot.code.mul(255.0).round().byte().permute(1, 2, 0)
    return image.cpu().numpy(), shot.coc.cpu().numpy(), shot.facts


def series_of(params: ThinLensParams) -> list[Camera]:
    """A camera for each picture that parameters ask of a row.

    Raises
    ------
    BadParams : one of them means nothing, or a series is asked of both aperture and focus.
    """
    one = camera_of(params)
    if params.f_numbers and params.rack:
        raise BadParams("--f-numbers and --rack are two series", "Give one of them")
    if params.f_numbers:
        return [replace(one, f_number=f_number) for f_number in params.f_numbers]
    if params.rack:
        distances = _read("rack", rack_of, params.rack)
        if min(distances) * 1000.0 <= one.focal_mm:
            raise BadParams(f"--rack {params.rack} begins nearer than the focal length")
        return [replace(one, focus=Focus(metres)) for metres in distances]
    return [one]


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
