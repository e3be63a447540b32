"""Blur is of light, not of code values."""

from __future__ import annotations

import pytest
import torch

from imgtool_defocus import layered
from imgtool_defocus.aperture import Aperture
from imgtool_defocus.lens import blur
from imgtool_defocus.light import boost_highlights, decode_srgb, encode_srgb


def dot(boost: float) -> float:
    """Code value at the middle of a white dot of 3 x 3 on grey, blurred by discs of 12 pixels."""
    code = torch.full((3, 41, 41), 0.1, dtype=torch.float64)
    code[:, 19:22, 19:22] = 1.0
    coc = torch.full((41, 41), 12.0, dtype=torch.float64)
    return float(blur(layered.render, decode_srgb(code), coc, Aperture(), boost)[0, 20, 20])


def test_a_white_dot_stays_bright_and_a_lamp_is_brighter_still() -> None:
    assert dot(0.0) == pytest.approx(0.329, abs=0.005)
    assert dot(4.0) == pytest.approx(1.0, abs=0.005)


def test_codes_come_back() -> None:
    code = torch.linspace(0, 1, 4096, dtype=torch.float64)

    assert torch.allclose(encode_srgb(decode_srgb(code)), code, atol=1e-7)


def test_only_what_is_clipped_and_blurred_is_boosted() -> None:
    linear = decode_srgb(torch.tensor([[[0.5, 1.0, 1.0]]] * 3, dtype=torch.float64))
    coc = torch.tensor([[9.0, 9.0, 1.0]], dtype=torch.float64)
    boosted = boost_highlights(linear, coc, 3.0)

    assert torch.allclose(boosted / linear, torch.tensor([1.0, 8.0, 1.0], dtype=torch.float64))
