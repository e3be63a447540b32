"""What each view can be told. Light to import: the command line reads these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from imgtool.api import Bounds, Help


@dataclass(frozen=True)
class DataParams:
    """Parameters of every view."""

    count: Annotated[int, Help("How many examples."), Bounds(1)] = 100
    size: Annotated[int, Help("Pixels on each side of a picture."), Bounds(8, 4096)] = 64
    seed: Annotated[int, Help("Seed of all examples."), Bounds(0)] = 1


@dataclass(frozen=True)
class SceneParams(DataParams):
    """Parameters of views of rendered scenes."""

    held_out: Annotated[
        bool, Help("Take scenes from the half that no trainer of the family sees.")
    ] = False


@dataclass(frozen=True)
class DefocusParams(SceneParams):
    """Parameters of `data.tabletop/defocus`."""

    aperture: Annotated[
        Literal["shallow", "deep", "both"],
        Help("Depth of field: f/1.4 to f/4 (shallow), f/8 to f/22 (deep), or either."),
    ] = "both"
    lens_points: Annotated[int, Help("Points of the aperture that are averaged."), Bounds(1)] = 64


@dataclass(frozen=True)
class CamerasParams(SceneParams):
    """Parameters of `data.tabletop/cameras`."""

    views: Annotated[int, Help("Cameras around each scene."), Bounds(2, 64)] = 4
    spread: Annotated[
        float, Help("Widest turn from the first camera, in degrees."), Bounds(1, 180)
    ] = 45.0


@dataclass(frozen=True)
class InstancesParams(SceneParams):
    """Parameters of `data.tabletop/instances`."""

    crop: Annotated[int, Help("Pixels on each side of a crop."), Bounds(8, 1024)] = 32


@dataclass(frozen=True)
class EditsParams(SceneParams):
    """Parameters of `data.tabletop/edits`."""

    in_front: Annotated[
        float, Help("Share of scenes in which the removed solid hides another."), Bounds(0, 1)
    ] = 0.5


@dataclass(frozen=True)
class ScalesParams(SceneParams):
    """Parameters of `data.tabletop/scales`."""

    source: Annotated[
        Literal["scenes", "leaves", "textures"], Help("What the large pictures show.")
    ] = "scenes"
    degradation: Annotated[
        Literal["bicubic", "bilinear", "area", "classic", "mild"],
        Help("How small pictures come about: one resize, or blur, noise and JPEG twice over."),
    ] = "bicubic"
    low: Annotated[float, Help("Least scale; any number."), Bounds(1, 16)] = 2.0
    high: Annotated[float, Help("Greatest scale."), Bounds(1, 16)] = 4.0
    sharpen: Annotated[
        bool, Help("Sharpen large pictures first, as Real-ESRGAN does its targets.")
    ] = False
    softness: Annotated[
        float,
        Help("Widest blur of large pictures, deviation in pixels; each draws its own."),
        Bounds(0, 8),
    ] = 0.0
    grain: Annotated[
        float,
        Help("Most grain of large pictures, deviation in levels of 255; each draws its own."),
        Bounds(0, 64),
    ] = 0.0


@dataclass(frozen=True)
class LeavesParams(DataParams):
    """Parameters of `data.tabletop/leaves`."""

    shape: Annotated[
        Literal["disc", "mixed"], Help("Discs alone, or ellipses, diamonds and rectangles too.")
    ] = "mixed"
    texture: Annotated[float, Help("Share of leaves that are textured."), Bounds(0, 1)] = 0.7
    exponent: Annotated[
        float, Help("Radii r are as frequent as r to minus this; 3 is scale-invariant."),
        Bounds(1.5, 5),
    ] = 3.0  # fmt: skip


@dataclass(frozen=True)
class TexturesParams(DataParams):
    """Parameters of `data.tabletop/textures`."""

    kind: Annotated[
        Literal["any", "noise", "gradient", "grating", "shapes"],
        Help("What pictures show; 'any' draws one of the others for each."),
    ] = "any"
    slope: Annotated[
        float, Help("Noise has power 1/f to this; 2 is that of photographs."), Bounds(0, 4)
    ] = 2.0
