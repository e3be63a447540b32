"""What stages share that take a picture through a lens; they differ in what they focus on."""

from __future__ import annotations

import itertools
import logging
import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeVar

from imgtool.api import (
    ALPHA,
    COC,
    DEEP,
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
    OutOfMemory,
    Stage,
    optional,
)
from imgtool_defocus.units import SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    import torch

    from imgtool.api import Batch, Row, Runtime
    from imgtool_defocus.lens import LensModel
    from imgtool_defocus.thinlens import Exposure, Scene

    Shot: TypeAlias = Mapping[str, object]

log = logging.getLogger("imgtool.defocus")
FACTS = Field("defocus", Kind.RECORD, summary="Every value of the lens, its focus and its range.")
COMPONENT = "lens"
WHITE = 65535.0


@dataclass(frozen=True)
class LensParams:
    """Parameters of every stage with a lens."""

    f_number: Annotated[
        float | None,
        Help("F-number, such as 1.8; smaller blurs more; none: that of the EXIF, else 2.8."),
        Bounds(0.5, 128),
    ] = None
    f_numbers: Annotated[
        tuple[float, ...], Help("F-numbers of a series: a picture for each."), Bounds(0.5, 128)
    ] = ()
    strength: Annotated[
        float | None,
        Help(
            "Instead of an f-number: blur of the farthest thing with the focus on the nearest, "
            "in pixels of a picture 1024 wide."
        ),
        Bounds(0.01, 4096),
    ] = None
    focal_length: Annotated[
        str, Help("Focal length, such as 85mm; empty: that of the EXIF, else 50mm.")
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
        float | None,
        Help("Cut blur discs to this, percent of the picture's width; none: cut none."),
        Bounds(0, 100),
    ] = None
    force: Annotated[
        bool, Help("Take pictures whose blur discs are wider than a quarter of them, too.")
    ] = False


P = TypeVar("P", bound=LensParams)


@dataclass(frozen=True)
class Aim:
    """What a stage focuses on.

    Attributes
    ----------
    focuses_m : metres, one for each picture of a rack.
    facts : to be told. columns : what else is produced, by field.
    """

    focuses_m: Sequence[float]
    facts: Mapping[str, object] = field(default_factory=dict)
    columns: Mapping[str, object] = field(default_factory=dict)


class LensStage(Stage[P]):
    """A sharp picture as a lens of real units would have taken it.

    What is not given is taken from the picture's EXIF, and what was used is written there.

    Depth without `depth_kind` is in metres where it exceeds 1; else it runs from `near` to `far`.
    """

    consumes: ClassVar[tuple[Field, ...]] = (
        IMAGE, DEPTH, optional(DEPTH_KIND), optional(ALPHA), optional(DEEP), optional(EXIF),
    )  # fmt: skip
    produces: ClassVar[tuple[Field, ...]] = (
        IMAGE, COC, optional(ALPHA), optional(DEEP), FACTS, EXIF,
    )  # fmt: skip

    model: LensModel

    def open(self, params: P, runtime: Runtime) -> None:
        """Read what was written in words, and find the lens model.

        Raises
        ------
        BadParams : a value means nothing, or the focus is nearer than the focal length.
        UnknownComponent : no plugin has this lens model.
        """
        from imgtool_defocus.camera import ASPECT, camera_of
        from imgtool_defocus.exif import Taken

        self.params, self.runtime = params, runtime
        camera_of(params, Taken(), ASPECT)
        self.model = runtime.component(COMPONENT, params.lens_model)  # type: ignore[assignment]

    @abstractmethod
    def aim(self, scene: Scene, focal_mm: float) -> Aim:
        """What a lens of `focal_mm` focuses on in `scene`.

        Raises
        ------
        BadParams, ValueError : nothing that it can be focused on.
        """

    def process(self, batch: Batch) -> Batch:
        """The picture through the lens, its blur discs, and what was used and found.

        A series makes each row as many children.
        """
        taken: list[list[Shot]] = []
        odd: dict[str, Failure] = {}
        for row in batch:
            try:
                taken.append(self._taken(row))
            except (ValueError, BadParams) as err:
                odd[row.id] = Failure(self.id, "RowError", str(err))
        done = batch.fail(odd)
        children = done.expand([len(shots) for shots in taken])
        shots = list(itertools.chain.from_iterable(taken))
        names = {
            field.name
            for field in self.produces
            if not field.optional or field.name in batch.columns
        }
        return children.with_columns(**{name: [shot[name] for shot in shots] for name in names})

    def _taken(self, row: Row) -> list[Shot]:
        """A row's pictures, by the same lens model however little memory there is.

        Strips of them at once, half as many whenever memory runs out; at last on the CPU.
        """
        import torch

        def on(device: torch.device) -> list[Shot]:
            taken = self.runtime.halving(lambda rows: [self._series(rows[0], device)], [row], 1)
            return taken[0]

        device, cpu = self.runtime.torch_device, torch.device("cpu")
        try:
            return on(device)
        except OutOfMemory:
            if device == cpu:
                raise
            log.warning("row %s does not fit on %s: taken on the CPU", row.id, device)
            return on(cpu)

    def _series(self, row: Row, device: torch.device) -> list[Shot]:
        import numpy as np
        import torch

        from imgtool.api import deep_of
        from imgtool_defocus.camera import camera_of, series_of
        from imgtool_defocus.exif import taken_with, with_lens
        from imgtool_defocus.strips import Strips
        from imgtool_defocus.thinlens import scene_of, take

        def tensor(values: object) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        deep, opacity = deep_of(row.values), row.values.get(ALPHA.name)
        code = tensor(row["image"]) / 255.0 if deep is None else tensor(deep) / WHITE
        alpha = None if opacity is None else tensor(opacity)
        kind = str(row.values.get(DEPTH_KIND.name) or "")
        old = row.values.get(EXIF.name)
        exif = old.tobytes() if isinstance(old, np.ndarray) else b""
        camera, origin = camera_of(self.params, taken_with(exif), code.shape[1::-1])
        diagonal_mm = math.hypot(*camera.sensor_mm)
        model = Strips(self.model, self.runtime.halving)
        shots: list[Shot] = []
        cut = 0.0
        with torch.inference_mode():
            scene = scene_of(camera, code.permute(2, 0, 1), tensor(row["depth"]), kind, alpha)
            if scene.depth.min() == scene.depth.max():
                log.warning("row %s: all of the depth is equally far, so the blur is even", row.id)
            aim = self.aim(scene, camera.focal_mm)
            facts = {**aim.facts, "from": origin}
            for one in series_of(self.params, camera, aim.focuses_m):
                taken = take(one, model, scene)
                told = np.frombuffer(with_lens(exif, taken.lens, diagonal_mm), dtype=np.uint8)
                shots.append(
                    {
                        **_arrays(taken, deep is not None),
                        FACTS.name: {**taken.facts, **facts},
                        EXIF.name: told,
                        **aim.columns,
                    }
                )
                cut = max(cut, taken.clamped)
        if cut:
            log.warning("row %s: --max-coc cuts %.1f%% of the blur discs", row.id, 100.0 * cut)
        return shots


def _arrays(taken: Exposure, is_deep: bool) -> Shot:
    """What a picture consists of, away from the device; 16 bits where it came with them."""
    import numpy as np

    from imgtool.api import in_8_bits

    code = taken.code.permute(1, 2, 0).cpu().numpy()
    deep = np.rint(code * WHITE).astype(np.uint16) if is_deep else None
    return {
        IMAGE.name: np.rint(code * 255.0).astype(np.uint8) if deep is None else in_8_bits(deep),
        DEEP.name: deep,
        COC.name: taken.coc.cpu().numpy(),
        ALPHA.name: None if taken.alpha is None else taken.alpha.cpu().numpy(),
    }
