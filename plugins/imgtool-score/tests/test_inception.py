"""FID's Inception-v3 from random weights in the published layout: its wiring and its poolings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from imgtool.api import ModelUnusable, Runtime
from imgtool_score.sets import inception
from imgtool_score.sets.extractors import inception as inception_extractor

if TYPE_CHECKING:
    from pathlib import Path

State = dict[str, torch.Tensor]
Weights = dict[str, tuple[torch.Tensor, torch.Tensor]]
# Channels that each branch adds to its block, in the order in which they lie side by side.
ORDER = {
    "Mixed_5b": {"branch1x1": 64, "branch5x5_2": 64, "branch3x3dbl_3": 96, "branch_pool": 32},
    "Mixed_5d": {"branch1x1": 64, "branch5x5_2": 64, "branch3x3dbl_3": 96, "branch_pool": 64},
    "Mixed_6a": {"branch3x3": 384, "branch3x3dbl_3": 96},
    "Mixed_6c": {"branch1x1": 192, "branch7x7_3": 192, "branch7x7dbl_5": 192, "branch_pool": 192},
    "Mixed_7a": {"branch3x3_2": 320, "branch7x7x3_4": 192},
    "Mixed_7b": {
        "branch1x1": 320,
        "branch3x3_2a": 384,
        "branch3x3_2b": 384,
        "branch3x3dbl_3a": 384,
        "branch3x3dbl_3b": 384,
        "branch_pool": 192,
    },
}


@pytest.fixture(scope="module")
def state() -> State:
    """Random weights under the published names, small enough that nothing overflows."""
    generator = torch.Generator().manual_seed(0)
    found: State = {}
    for name, (outside, inside), kernel, _, _ in inception.layers():
        fan = inside * kernel[0] * kernel[1]
        weight = torch.randn(outside, inside, *kernel, generator=generator)
        found[f"{name}.conv.weight"] = weight * math.sqrt(2 / fan)
        for part, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5)):
            found[f"{name}.bn.{part}"] = torch.rand(outside, generator=generator) + low
        found[f"{name}.bn.running_var"] = torch.rand(outside, generator=generator) + 0.5
        found[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    found["fc.weight"], found["fc.bias"] = torch.zeros(1008, 8), torch.zeros(1008)
    return found


@pytest.fixture(scope="module")
def weights(state: State) -> Weights:
    return inception.folded(state)


def test_layout_has_the_published_count_of_parameters() -> None:
    counts = [
        outside * (inside * kernel[0] * kernel[1] + 2)
        for _, (outside, inside), kernel, _, _ in inception.layers()
    ]
    # torchvision's Inception-v3 has 27,161,264: 3,326,696 in the auxiliary head, 2,049,000 in fc.
    assert len(counts) == 94
    assert sum(counts) == 27_161_264 - 3_326_696 - 2_049_000


def test_normalisation_folds_into_the_convolution(state: State, weights: Weights) -> None:
    name = "Mixed_6b.branch7x7_2"
    weight, bias = weights[name]
    x = torch.randn(1, 128, 9, 9, generator=torch.Generator().manual_seed(1))
    plain = F.conv2d(x, state[f"{name}.conv.weight"], None, 1, (0, 3))
    parts = [state[f"{name}.bn.{p}"] for p in ("running_mean", "running_var", "weight", "bias")]
    normed = F.batch_norm(plain, *parts, eps=0.001)
    torch.testing.assert_close(F.conv2d(x, weight, bias, 1, (0, 3)), normed, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("block", ORDER)
def test_branches_lie_in_the_published_order(block: str, weights: Weights) -> None:
    mute = {name: (weight * 0, bias * 0) for name, (weight, bias) in weights.items()}
    inside = inception.BLOCKS[block][next(iter(inception.BLOCKS[block]))][0][1][1]
    x = torch.ones(1, inside, 5, 5)
    start = 0
    for branch, channels in ORDER[block].items():
        name = f"{block}.{branch}"
        loud = {**mute, name: (mute[name][0], mute[name][1] + 1)}
        sounding = inception.block_of(x, block, loud)[0].amax((1, 2))
        through = inside if block in ("Mixed_6a", "Mixed_7a") else 0
        assert sounding[: len(sounding) - through].nonzero().flatten().tolist() == list(
            range(start, start + channels)
        )
        start += channels


def pool_alone(block: str, inside: int) -> Weights:
    """Weights with which a block passes its pooling on and nothing else."""
    found = {}
    for branch in inception.BLOCKS[block].values():
        for name, (outside, below), kernel, _, _ in branch:
            found[f"{block}.{name}"] = (torch.zeros(outside, below, *kernel), torch.zeros(outside))
    outside = found[f"{block}.branch_pool"][0].shape[0]
    found[f"{block}.branch_pool"] = (
        torch.eye(outside, inside)[..., None, None],
        torch.zeros(outside),
    )
    return found


@pytest.mark.parametrize("block", ["Mixed_5b", "Mixed_6e", "Mixed_7b"])
def test_averages_leave_the_padding_out(block: str) -> None:
    inside = inception.BLOCKS[block]["pool"][0][1][1]
    x = torch.ones(1, inside, 5, 5)
    found = inception.block_of(x, block, pool_alone(block, inside))
    pooled = inception.BLOCKS[block]["pool"][0][1][0]
    # With the padding counted a corner of ones would average 4/9.
    torch.testing.assert_close(found[:, -pooled:], torch.ones(1, pooled, 5, 5))


def test_the_last_block_takes_the_greatest() -> None:
    x = torch.zeros(1, 2048, 5, 5)
    x[:, :, 2, 2] = 3.0
    found = inception.block_of(x, "Mixed_7c", pool_alone("Mixed_7c", 2048))[:, -192:]
    expected = torch.zeros(5, 5)
    expected[1:4, 1:4] = 3.0
    torch.testing.assert_close(found, expected.expand(1, 192, 5, 5))


def test_sizes_are_those_of_the_paper(weights: Weights) -> None:
    x = inception.stem(torch.zeros(1, 3, 299, 299), weights)
    sizes = {}
    for block in inception.BLOCKS:
        sizes[block] = tuple(x.shape[1:])
        x = inception.block_of(x, block, weights)
    assert sizes["Mixed_5b"] == (192, 35, 35)
    assert sizes["Mixed_6b"] == (768, 17, 17)
    assert sizes["Mixed_7b"] == (1280, 8, 8)
    assert x.shape == (1, 2048, 8, 8)


def test_weights_from_a_folder_give_features_of_pixels(
    state: State, weights: Weights, tmp_path: Path
) -> None:
    save_file(state, tmp_path / "fid.safetensors")
    extractor = inception_extractor(Runtime(device="cpu", dtype="float32"), str(tmp_path))
    assert (extractor.edge, extractor.width) == (299, 2048)
    pixels = np.random.default_rng(0).random((1, 3, 96, 96), np.float32)
    x = torch.from_numpy(pixels * 255 / 128 - 1)
    torch.testing.assert_close(
        torch.from_numpy(extractor(pixels)), inception.features(x, weights), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("what", ["missing", "other shape"])
def test_weights_of_another_net_are_refused(what: str, state: State, tmp_path: Path) -> None:
    name = "Mixed_7c.branch_pool.conv.weight"
    other = {key: value for key, value in state.items() if key != name}
    if what == "other shape":
        other[name] = torch.zeros(192, 2048, 3, 3)
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(ModelUnusable, match=r"Mixed_7c\.branch_pool"):
        inception_extractor(Runtime(device="cpu", dtype="float32"), str(tmp_path))


def test_no_weights_named_says_how_to_get_them() -> None:
    with pytest.raises(ModelUnusable) as caught:
        inception_extractor(Runtime(device="cpu", dtype="float32"), "")
    assert "measure-sets" in caught.value.hint
