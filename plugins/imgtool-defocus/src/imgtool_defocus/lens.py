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


def blur(
    model: LensModel, code: Tensor, coc: Tensor, aperture: Aperture, highlight_boost: float = 0.0
) -> Tensor:
    """A picture through a lens model: linear light, and beyond the frame what is at its edge.

    Parameters
    ----------
    code : [3, H, W], sRGB, 0..1. coc : [H, W], pixels, positive behind the focus.
    highlight_boost : stops by which clipped lights were brighter than white.

    Returns
    -------
    [3, H, W], sRGB, 0..1.
    """
    linear = boost_highlights(decode_srgb(code), coc, highlight_boost)
    return encode_srgb(framed(model, linear, coc, aperture))


def blur_transparent(
    model: LensModel,
    code: Tensor,
    alpha: Tensor,
    coc: Tensor,
    aperture: Aperture,
    highlight_boost: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """`blur` of a picture that was laid on white: light and opacity are blurred, not the white.

    Parameters
    ----------
    code : [3, H, W], sRGB, 0..1, laid on white. alpha : [H, W], 0..1, its opacity.

    Returns
    -------
    [3, H, W], sRGB, 0..1, laid on white again, and its opacity, [H, W].
    """
    alpha = alpha.clamp(0.0, 1.0)
    own = ((code - (1.0 - alpha)) / alpha.clamp_min(LEAST_ALPHA)).clamp(0.0, 1.0)
    linear = boost_highlights(decode_srgb(own), coc, highlight_boost) * alpha
    light = framed(model, linear, coc, aperture)
    opacity = framed(model, alpha.expand_as(linear), coc, aperture)[0].clamp(0.0, 1.0)
    shown = encode_srgb(light / opacity.clamp_min(LEAST_ALPHA))
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
