"""A picture and its depth through a thin lens: all steps of `defocus.thinlens` on tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from imgtool_defocus import depth as depths
from imgtool_defocus.lens import LensModel, blur, blur_transparent, light_of
from imgtool_defocus.optics import Lens, circle_of_confusion, depth_of_field

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_defocus.aperture import Aperture
    from imgtool_defocus.units import Focus

WIDE = 0.25
"""Discs wider than this share of the picture's width are more likely a slip than a wish."""
REFERENCE = 1024
"""Width of the picture, in pixels, that strengths are of."""


@dataclass(frozen=True)
class Camera:
    """What a user sets, in numbers.

    Attributes
    ----------
    strength : disc of the farthest thing with the focus on the nearest, pixels of a picture
        `REFERENCE` wide; it then sets the f-number. None: `f_number` is the f-number.
    focus_m : distance in focus, metres.
    sensor_mm : long and short side; the long one lies along the long side of the picture.
    near_m, far_m : ends of maps that are not in metres.
    most_coc : widest disc, as a share of the picture's width; wider ones are cut to it. None: none.
    is_forced : whether discs may be wider than `WIDE`.
    highlight_boost : stops.
    """

    focal_mm: float
    f_number: float
    strength: float | None
    focus_m: float
    sensor_mm: tuple[float, float]
    near_m: float
    far_m: float
    most_coc: float | None
    is_forced: bool
    highlight_boost: float
    aperture: Aperture


@dataclass(frozen=True)
class Scene:
    """What cameras look at; pictures of a series are of one.

    Attributes
    ----------
    code : [3, H, W], sRGB, 0..1. depth : [H, W], metres.
    kind : of the map that the depth was read from. filled : share of its pixels that were holes.
    alpha : [H, W], opacity, 0..1; the picture is laid on white. None: all is opaque.
    """

    code: Tensor
    depth: Tensor
    kind: str
    filled: float
    alpha: Tensor | None = None

    @cached_property
    def span(self) -> float:
        """From the farthest to the nearest thing, 1/m, without the ends of `robust_range`."""
        far, near = depths.robust_range(1.0 / self.depth)
        return near - far

    @cached_property
    def light(self) -> Tensor:
        """[3, H, W], linear, of the picture's own colours; computed once."""
        return light_of(self.code, self.alpha)


@dataclass(frozen=True)
class Exposure:
    """A picture that was taken.

    Attributes
    ----------
    lens : that took it, focused.
    code : [3, H, W], sRGB, 0..1. coc : [H, W], pixels, positive behind the focus.
    alpha : [H, W], opacity; None: that of the scene was. clamped : share of discs that were cut.
    facts : every value that was used, and what was found; null is infinity.
    """

    lens: Lens
    code: Tensor
    coc: Tensor
    alpha: Tensor | None
    clamped: float
    facts: dict[str, object]


def scene_of(
    camera: Camera, code: Tensor, values: Tensor, kind: str, alpha: Tensor | None = None
) -> Scene:
    """A sharp picture and its depth as `camera` takes them, whatever its aperture and focus.

    Parameters
    ----------
    code : [3, H, W], sRGB, 0..1. values : [h, w], depth of `kind`; empty: told from the values.
    alpha : [H, W], opacity.

    Raises
    ------
    ValueError : the depth does not fit the picture or is mostly holes.
    """
    height, width = code.shape[-2:]
    kind = depths.kind_of(values, kind)
    fitted = depths.fitted(values, height, width)
    depth, filled = depths.metres(fitted, kind, camera.near_m, camera.far_m)
    return Scene(code, depth, kind, filled, None if alpha is None else alpha.clamp(0.0, 1.0))


def take(camera: Camera, model: LensModel, scene: Scene) -> Exposure:
    """The picture that `camera` takes of a scene.

    Raises
    ------
    ValueError : the focus is too near, discs are wider than `WIDE`, or there is a strength and all
        is equally far.
    """
    depth = scene.depth
    height, width = depth.shape
    long, short = camera.sensor_mm
    sensor_mm = long if width >= height else short
    lens = Lens(camera.focal_mm, camera.f_number, camera.focus_m, sensor_mm)
    if camera.strength is not None:
        lens = _strong(lens, camera.strength, scene)
    coc, clamped = _cut(circle_of_confusion(depth, lens, width), camera.most_coc)
    widest = float(coc.abs().max())
    if widest > WIDE * width and not camera.is_forced:
        raise ValueError(
            f"blur discs take up to {widest / width:.0%} of the picture's width: --force allows "
            f"more than {WIDE:.0%}, --max-coc cuts them"
        )
    near, far = depth_of_field(lens, sensor_mm / width)
    facts: dict[str, object] = {
        "focal_mm": lens.focal_mm,
        "f_number": lens.f_number,
        "focus_m": _or_null(lens.focus_m),
        "sensor_mm": sensor_mm,
        "px_metres": lens.strength(width),
        "sharp_from_m": near,
        "sharp_to_m": _or_null(far),
        "depth_kind": scene.kind,
        "filled": scene.filled,
        "clamped": clamped,
        "widest_coc": widest,
    }
    optics = coc, camera.aperture, camera.highlight_boost
    if scene.alpha is None:
        shown, alpha = blur(model, scene.light, *optics), None
    else:
        shown, alpha = blur_transparent(model, scene.light, scene.alpha, *optics)
    return Exposure(lens, shown, coc, alpha, clamped, facts)


def _strong(lens: Lens, strength: float, scene: Scene) -> Lens:
    """`lens` at the f-number that gives a strength."""
    if not scene.span:
        raise ValueError("all of the depth is equally far: --strength has nothing to blur")
    wanted = strength / REFERENCE / scene.span
    return replace(lens, f_number=lens.f_number * lens.strength(1) / wanted)


def _cut(coc: Tensor, most: float | None) -> tuple[Tensor, float]:
    """Discs of at most a share of the width, and the share of them that were wider."""
    if most is None:
        return coc, 0.0
    limit = most * coc.shape[1]
    return coc.clamp(-limit, limit), float((coc.abs() > limit).double().mean())


def distance_of(focus: Focus, depth: Tensor) -> float:
    """Metres from the lens to what `focus` is on in a picture of `depth`, [H, W], metres.

    Raises
    ------
    ValueError : the focus is outside the picture.
    """
    if focus.metres is not None:
        return focus.metres
    if focus.x is None or focus.y is None:
        return depths.distance_of_middle(depth)
    height, width = depth.shape
    (x, x_is_share), (y, y_is_share) = focus.x, focus.y
    return depths.distance_at(
        depth, x * width if x_is_share else x, y * height if y_is_share else y
    )


def _or_null(number: float) -> float | None:
    return None if math.isinf(number) else number
