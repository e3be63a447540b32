"""What the adapter says of UNets, against what happens when they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import tiny
import torch

from imgtool_prune.architectures import paths
from imgtool_prune.unet import UNet

if TYPE_CHECKING:
    from torch import Tensor


def observed(unet: Any, names: list[str], **conditions: Any) -> dict[str, Tensor]:
    """Input of each named layer, in order of execution."""
    seen: dict[str, Tensor] = {}
    for name in names:
        unet.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, name=name: seen.update({name: inputs[0]})
        )
    sample = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        unet(sample, 7, torch.randn(2, 5, unet.config.cross_attention_dim), **conditions)
    return seen


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_units_come_as_executed_and_layers_share_their_input(family: str) -> None:
    unet = tiny.FAMILIES[family]().unet.eval()
    added = {"text_embeds": torch.randn(2, 16), "time_ids": torch.randn(2, 6)}
    conditions = {"added_cond_kwargs": added} if family == "sdxl" else {}
    units = UNet().units(unet)
    seen = observed(unet, paths(units), **conditions)
    order = list(seen)

    assert set(order) == set(paths(units))
    assert any(name.startswith("mid_block") for name in order)
    ends = [max(order.index(path) for path in paths([unit])) for unit in units]
    begins = [min(order.index(path) for path in paths([unit])) for unit in units]
    assert all(end < begin for end, begin in zip(ends, begins[1:], strict=False))
    for unit in units:
        for layers in unit.inputs:
            assert all(seen[path].equal(seen[layers[0]]) for path in layers)


def test_every_attention_and_feed_forward_layer_is_there() -> None:
    unet = tiny.FAMILIES["sd"]().unet
    linear = {
        name
        for name, module in unet.named_modules()
        if type(module) is torch.nn.Linear and ".transformer_blocks." in name
    }

    assert set(paths(UNet().units(unet))) == linear
