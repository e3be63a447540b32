"""Noise, packing and scaling: the arithmetic, against diffusers' own where it has some."""

from __future__ import annotations

import numpy as np
import torch

from imgtool_generate.decoding import to_uint8, unscale
from imgtool_generate.noise import draw, pack, unpack


def test_packing_is_that_of_flux() -> None:
    from diffusers import FluxPipeline

    latents = torch.randn(2, 3, 4, 6, generator=torch.manual_seed(0))
    packed = pack(latents)
    assert torch.equal(packed, FluxPipeline._pack_latents(latents, 2, 3, 4, 6))
    assert torch.equal(unpack(packed, 4, 6), latents)


def test_noise_of_a_row_is_that_of_its_seed() -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    noise = draw((2, 3, 4), generators)
    assert torch.equal(noise[1], torch.randn(2, 3, 4, generator=torch.manual_seed(6)))


def test_scaling_is_undone() -> None:
    x = torch.randn(1, 2, 3, 3, generator=torch.manual_seed(0))
    scaled = (x - 0.1) * 0.5
    torch.testing.assert_close(unscale(scaled, {"scaling_factor": 0.5, "shift_factor": 0.1}), x)
    mean, std = [0.5, -0.5], [2.0, 4.0]
    normed = (x - torch.tensor(mean).view(1, 2, 1, 1)) / torch.tensor(std).view(1, 2, 1, 1)
    torch.testing.assert_close(unscale(normed, {"latents_mean": mean, "latents_std": std}), x)


def test_levels_are_rounded_and_clipped() -> None:
    picture = np.array([[[-1.0, 0.5, 2.0], [0.498, np.nan, np.inf]]])
    assert to_uint8(picture).tolist() == [[[0, 128, 255], [127, 0, 255]]]
