"""Colour fixes against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imgtool_sr.colour import RADIUS, low_band, luma_of, wavelet
from imgtool_sr.finishing import BAND, finished, resized


@pytest.fixture
def source() -> np.ndarray:
    """A smooth picture, higher than one band."""
    rows = np.linspace(60, 180, BAND + 90)[:, None, None]
    return np.broadcast_to(rows, (BAND + 90, 40, 3)).astype(np.uint8)


def deep(picture: np.ndarray, tint: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    return ((picture + np.array(tint)).clip(0, 255) * 257).astype(np.uint16)


def test_wavelet_takes_a_tint_away(source: np.ndarray) -> None:
    fixed = finished(deep(source, (30, -20, 9)), source, (40, BAND + 90), "wavelet")

    assert np.abs(fixed.astype(int) - source).max() <= 1


def test_wavelet_keeps_detail_and_replaces_the_lowest_band() -> None:
    torch.manual_seed(0)
    y, x = torch.rand(2, 3, 80, 70)
    low_y, low_x = low_band(y), low_band(x)

    assert torch.allclose(wavelet(y, x) - low_x, y - low_y, atol=1e-6)
    assert torch.allclose(wavelet(y, y), y, atol=1e-6)


def test_the_lowest_band_sees_as_far_as_it_says() -> None:
    point = torch.zeros(3, 99, 99)
    point[:, 49, 49] = 1
    seen = low_band(point)[0].nonzero()[:, 0]

    assert (49 - int(seen.min()), int(seen.max()) - 49) == (RADIUS, RADIUS)


def test_a_fix_does_not_know_where_its_bands_end() -> None:
    rng = np.random.default_rng(5)
    made = rng.integers(0, 65536, (BAND + 90, 30, 3), dtype=np.uint16)
    source = rng.integers(0, 256, made.shape, dtype=np.uint8)
    tensors = (torch.from_numpy(p.astype(np.float32)).permute(2, 0, 1) for p in (made, source))
    y, x = (t / w for t, w in zip(tensors, (65535, 255), strict=True))
    whole = wavelet(y, x).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    banded = finished(made, source, (30, BAND + 90), "wavelet")

    assert np.abs(banded.astype(int) - whole).max() <= 1
    assert (banded != whole).mean() < 1e-3


def test_adain_gives_the_moments_of_the_source() -> None:
    rng = np.random.default_rng(6)
    made = rng.integers(20000, 40000, (300, 50, 3), dtype=np.uint16)
    source = rng.integers(90, 150, (300, 50, 3), dtype=np.uint8)
    fixed = finished(made, source, (50, 300), "adain")

    assert fixed.mean((0, 1)) == pytest.approx(source.mean((0, 1)), abs=0.1)
    assert fixed.std((0, 1)) == pytest.approx(source.std((0, 1)), rel=0.02)


def test_ycbcr_keeps_luma_and_takes_chroma() -> None:
    grey, colour = torch.full((3, 4, 4), 0.5), torch.zeros(3, 4, 4)
    colour[0] += 0.8
    fixed = luma_of(grey, colour)
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]

    assert torch.allclose((fixed * weights).sum(0), torch.tensor(0.5), atol=1e-5)
    assert torch.allclose(fixed[0] - fixed[1], colour[0] - colour[1], atol=1e-5)


def test_sixteen_bits_are_rounded_once() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, 2)
    made = finished(levels, levels.astype(np.uint8), (256, 256), "none")

    assert (made == np.floor(levels / 257 + 0.5)).all()


def test_opaque_stays_opaque_and_depth_is_kept() -> None:
    assert resized(np.ones((7, 5), dtype=np.float32), (31, 17)).round(6).min() == 1
    ramp = np.linspace(0, 65535, 2000).astype(np.uint16).reshape(20, 100, 1)
    assert len(np.unique(resized(ramp, (200, 40)))) > 256
