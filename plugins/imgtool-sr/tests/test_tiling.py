"""Tiles: where they lie, what they add up to, and that a net over them is one over the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from imgtool_sr.peak import TILES, bytes_per_pixel, tile_edge
from imgtool_sr.stitching import Tile, enlarged, padded
from imgtool_sr.tiling import Axis, grid

RADIUS, SCALE = 4, 2


@settings(max_examples=150, deadline=None)
@given(
    units=st.integers(1, 90),
    tile_units=st.integers(2, 16),
    overlap=st.integers(0, 48),
    step=st.sampled_from([1, 2, 8]),
    scale=st.sampled_from([1, 2, 3]),
)
def test_shares_of_all_tiles_add_up_to_one_everywhere(
    units: int, tile_units: int, overlap: int, step: int, scale: int
) -> None:
    length, tile = units * step, min(units, tile_units) * step
    if tile < length and tile < overlap + max(step, overlap):
        return
    axis = Axis(length, tile, overlap, step)
    total = np.zeros(length * scale, dtype=np.float32)
    for index, start in enumerate(axis.starts):
        total[start * scale : (start + tile) * scale] += axis.weights(index, scale)

    assert np.abs(total - 1).max() < 1e-6
    assert all(start % step == 0 for start in axis.starts)
    assert axis.starts[-1] + tile == length
    assert all(b - a <= tile - overlap for a, b in zip(axis.starts, axis.starts[1:], strict=False))


@pytest.mark.parametrize("shape", [(1, 97), (97, 1), (65, 64), (64, 65), (64, 64), (3, 3)])
def test_what_changes_nothing_gives_back_every_pixel(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 65536, (*shape, 3), dtype=np.uint16)
    made = enlarged(picture, grid(*shape, 64, 16), 1, lambda tiles: [t.pixels for t in tiles])

    assert (made == picture).all()


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """Convolutions that see four pixels to either side, whose weights matter."""
    torch.manual_seed(2)
    layers = [nn.Conv2d(3, 8, 5, padding=2), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1), nn.Tanh()]
    net = nn.Sequential(*layers, nn.Conv2d(8, 3 * SCALE**2, 3, padding=1), nn.PixelShuffle(SCALE))
    for layer in (net[0], net[2], net[4]):
        nn.init.normal_(layer.weight, std=0.3)
    return nn.Sequential(net, nn.Sigmoid()).eval()


def run(net: nn.Module, tiles: list[Tile]) -> list[np.ndarray]:
    stacked = torch.from_numpy(np.stack([tile.pixels for tile in tiles])).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return list(net(stacked).permute(0, 2, 3, 1).numpy())


def differences(net: nn.Module, tile: int, overlap: int) -> float:
    """Largest difference of tiles from the whole, as a share of the whole's deviation."""
    picture = np.random.default_rng(3).integers(0, 256, (96, 72, 3), dtype=np.uint8)
    whole, parts = (
        enlarged(picture, grid(96, 72, size, overlap), SCALE, lambda t: run(net, list(t)))
        for size in (96, tile)
    )
    return float(np.abs(whole.astype(float) - parts).max() / whole.std())


def test_tiles_equal_the_whole_where_their_margins_hold_what_the_net_sees(net: nn.Module) -> None:
    # Margins are three eighths of the overlap: 9 pixels of 24 and 6 of 16.
    assert differences(net, 48, 24) < 1e-4
    assert differences(net, 36, 16) < 1e-4


def test_tiles_without_overlap_show(net: nn.Module) -> None:
    assert differences(net, 48, 0) > 0.1


def test_progress_counts_every_tile() -> None:
    told: list[int] = []
    tiles = grid(70, 100, 32, 8)
    enlarged(
        np.zeros((70, 100, 3), np.uint8), tiles, 1, lambda t: [x.pixels for x in t], told.append
    )

    assert sum(told) == tiles.count == 12


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (16, 16), (17, 40)])
def test_small_pictures_are_mirrored_up_to_what_a_net_takes(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(4).integers(0, 256, (*shape, 3), dtype=np.uint8)
    made = padded(picture, 8, 16)

    assert all(side % 8 == 0 and side >= 16 for side in made.shape[:2])
    assert (made[: shape[0], : shape[1]] == picture).all()


def test_tiles_too_small_for_their_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="too small for an overlap of 40"):
        grid(200, 200, 64, 40)


def test_tiles_are_as_large_as_memory_allows() -> None:
    net = nn.Sequential(nn.Conv2d(3, 32, 1), nn.ReLU(), nn.Conv2d(32, 3, 1))
    with torch.inference_mode():
        per_pixel = bytes_per_pixel([net], lambda edge: net(torch.zeros(1, 3, edge, edge)))

    assert per_pixel == pytest.approx(4 * (3 + 32 + 32), rel=0.05)
    assert tile_edge(0, per_pixel, 1) in TILES
    assert tile_edge(10**12, per_pixel, 1) == TILES[-1]
    assert tile_edge(1, per_pixel, 1) == TILES[0]
    assert tile_edge(10**8, per_pixel, 64) < tile_edge(10**8, per_pixel, 4)
