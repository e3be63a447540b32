"""The seam between stage and lens models, and what every model needs around it.

A lens model is a component of kind `lens`: a function `render(linear, coc, aperture)` of linear
light [3, H, W], of signed diameters of blur discs [H, W] in pixels, positive behind the focus, and
of an `Aperture`. It returns the blurred light [3, H, W] and its coverage [H, W].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch.nn.functional import pad

from imgtool_defocus.light import boost_highlights, decode_srgb, encode_srgb

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_defocus.aperture import Aperture

LEAST_ALPHA = 1.0 / 255.0


class LensModel(Protocol):
    """A renderer of blur."""

    def __call__(self, linear: Tensor, coc: Tensor, aperture: Aperture) -> tuple[Tensor, Tensor]:
        """Blurred light and its coverage."""
        ...


def light_of(code: Tensor, alpha: Tensor | None) -> Tensor:
    """[3, H, W], linear light of a picture's own colours, whatever the lens.

    Parameters
    ----------
    code : [3, H, W], sRGB, 0..1. alpha : [H, W], 0..1, its opacity where it was laid on white.
    """
    if alpha is not None:
        code = ((code - (1.0 - alpha)) / alpha.clamp_min(LEAST_ALPHA)).clamp(0.0, 1.0)
    return decode_srgb(code)


def blur(
    model: LensModel, light: Tensor, coc: Tensor, aperture: Aperture, highlight_boost: float = 0.0
) -> Tensor:
    """A picture through a lens model: beyond the frame, it goes on as it is at its edge.

    Parameters
    ----------
    light : [3, H, W], linear, 0..1. coc : [H, W], pixels, positive behind the focus.
    highlight_boost : stops by which clipped lights were brighter than white.

    Returns
    -------
    [3, H, W], sRGB, 0..1.
    """
    bright = boost_highlights(light, coc, highlight_boost)
    return encode_srgb(framed(model, bright, coc, aperture))


def blur_transparent(
    model: LensModel,
    light: Tensor,
    alpha: Tensor,
    coc: Tensor,
    aperture: Aperture,
    highlight_boost: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """`blur` where not all is opaque: light and opacity are blurred.

    Parameters
    ----------
    alpha : [H, W], 0..1, opacity.

    Returns
    -------
    [3, H, W], sRGB, 0..1, laid on white, and its opacity, [H, W].
    """
    bright = boost_highlights(light, coc, highlight_boost) * alpha
    blurred = framed(model, bright, coc, aperture)
    opacity = framed(model, alpha.expand_as(bright), coc, aperture)[0].clamp(0.0, 1.0)
    shown = encode_srgb(blurred / opacity.clamp_min(LEAST_ALPHA))
    return shown * opacity + (1.0 - opacity), opacity


def framed(model: LensModel, linear: Tensor, coc: Tensor, aperture: Aperture) -> Tensor:
    """`model` on a picture whose edge pixels go on beyond the frame, as far as light comes from."""
    margin = aperture.span(float(coc.detach().abs().max()) / 2.0) + 1
    height, width = coc.shape
    sides = (margin,) * 4
    wide = pad(linear[None], sides, mode="replicate")[0]
    wide_coc = pad(coc[None, None], sides, mode="replicate")[0, 0]
    light, _ = model(wide, wide_coc, aperture)
    return light[:, margin : margin + height, margin : margin + width]
