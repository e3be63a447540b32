"""Pictures of a batch through lenses of their own, with gradients in the blur: for training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from torch.nn.functional import pad

from imgtool_defocus.aperture import Aperture
from imgtool_defocus.gather import render
from imgtool_defocus.light import decode_srgb, encode_srgb

if TYPE_CHECKING:
    from torch import Tensor

FLOOR_PX: Final = 0.5


def margin_of(most_coc: float) -> int:
    """Pixels around a picture from which discs of up to `most_coc` pixels take light."""
    return Aperture().span(((most_coc / 2.0) ** 2 + FLOOR_PX**2) ** 0.5)


def opened(code: Tensor, coc: Tensor, most_coc: float) -> Tensor:
    """[B, 3, H - 2n, W - 2n] sRGB, 0..1, of pictures n = `margin_of(most_coc)` wider on all sides.

    Parameters
    ----------
    code : [B, 3, H, W], sRGB, 0..1.
    coc : [B, H, W], signed diameters, pixels; wider ones than `most_coc` are cut to it.
    """
    count, _, height, width = code.shape
    margin = margin_of(most_coc)
    # One tall picture: no disc reaches from what is kept of one into another.
    linear = decode_srgb(code).transpose(0, 1).flatten(1, 2)
    light, _ = render(
        linear, coc.clamp(-most_coc, most_coc).flatten(0, 1), Aperture(), floor_px=FLOOR_PX
    )
    whole = encode_srgb(light).reshape(3, count, height, width).transpose(0, 1)
    return pad(whole, (-margin,) * 4)
