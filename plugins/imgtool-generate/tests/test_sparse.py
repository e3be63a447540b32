"""Which layers take sparse kernels; the kernels themselves need a GPU (`make gpu-check`)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from imgtool.api import BadParams, Runtime
from imgtool_generate.loading import load_pipeline
from imgtool_generate.sparse import Kernels, fits, use_sparse_kernels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

X = torch.randn(3, 5, 64, generator=torch.Generator().manual_seed(0))


def layer(rows: int = 32, columns: int = 64, kept: int = 2) -> nn.Linear:
    """With `kept` weights in every four."""
    made = nn.Linear(columns, rows)
    made.weight.data.unflatten(1, (-1, 4))[:, :, kept:] = 0
    return made


class Stand:
    """In for a GPU: `dense` and `sparse` are the seconds that a clock shows."""

    def __init__(self, dense: float, sparse: float, scale: float = 1.0) -> None:
        self.clock, self.scale, self.packed = [dense, sparse], scale, 0

    def compress(self, weight: Tensor) -> Tensor:
        self.packed += 1
        return weight * self.scale

    def seconds(self, call: Callable[[], Tensor]) -> float:
        call()
        return self.clock.pop(0)

    def kernels(self) -> Kernels:
        return Kernels(self.compress, self.seconds)


@pytest.mark.parametrize(("dense", "sparse"), [(2.0, 1.0), (1.0, 2.0)])
@torch.no_grad()
def test_a_layer_takes_the_faster_kernel_at_its_first_call(dense: float, sparse: float) -> None:
    stand, net = Stand(dense, sparse), nn.Sequential(layer())
    before, want = net[0].weight, net(X)
    assert use_sparse_kernels(net, stand.kernels()) == 1
    assert stand.packed == 0
    for _ in range(3):
        torch.testing.assert_close(net(X), want)

    assert (net[0].weight is before) == (dense < sparse)
    assert stand.packed == 1


@torch.no_grad()
def test_a_kernel_that_gives_something_else_is_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    stand, net = Stand(2.0, 1.0, scale=1.01), nn.Sequential(layer())
    before = net[0].weight
    use_sparse_kernels(net, stand.kernels())
    with caplog.at_level(logging.WARNING, "imgtool.generate"):
        net(X)

    assert net[0].weight is before
    assert "stays dense" in caplog.text


@torch.no_grad()
def test_a_first_call_that_fails_leaves_the_choice_to_the_next() -> None:
    stand, net = Stand(2.0, 1.0), nn.Sequential(layer())
    use_sparse_kernels(net, stand.kernels())
    with pytest.raises(RuntimeError):
        net(X[..., :60])
    before = net[0].weight
    net(X)

    assert net[0].weight is not before


@pytest.mark.parametrize(("rows", "columns", "kept"), [(32, 64, 3), (16, 64, 2), (32, 96, 2)])
def test_other_weights_and_shapes_stay_dense(rows: int, columns: int, kept: int) -> None:
    assert fits(layer())
    assert not fits(layer(rows, columns, kept))


def test_they_are_refused_without_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(BadParams, match="do not run on cpu"):
        load_pipeline("tabletop", (), "none", Runtime(device="cpu"), sparse_kernels=True)
