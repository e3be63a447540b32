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


def framed(model: LensModel, linear: Tensor, coc: Tensor, aperture: Aperture) -> Tensor:
    """`model` on a picture whose edge pixels go on beyond the frame, as far as light comes from."""
    margin = aperture.span(float(coc.detach().abs().max()) / 2.0) + 1
    height, width = coc.shape
    sides = (margin,) * 4
    wide = pad(linear[None], sides, mode="replicate")[0]
    wide_coc = pad(coc[None, None], sides, mode="replicate")[0, 0]
    light, _ = model(wide, wide_coc, aperture)
    return light[:, margin : margin + height, margin : margin + width]
