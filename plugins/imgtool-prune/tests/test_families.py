"""What adapters say of each family, against what happens when its denoisers run: T14, T20."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import nets
import pytest
import torch

from imgtool_prune.architectures import linear_at, paths, without
from imgtool_prune.costs import layout_flops, module_flops
from imgtool_prune.layout import cuts, gone, removed_parameters, shrink
from imgtool_prune.structured import heads_to_remove, neurons_to_remove

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from imgtool_prune.architectures import Part, Unit
    from imgtool_prune.layout import Layout

FAMILIES = list(nets.ADAPTERS)


def observed(denoiser: nn.Module, family: str, names: list[str]) -> dict[str, Tensor]:
    """Input of each named layer, in order of execution."""
    seen: dict[str, Tensor] = {}
    for name in names:
        denoiser.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, name=name: seen.update({name: inputs[0]})
        )
    nets.run(denoiser, family)
    return seen


def parts_of(units: Sequence[Unit]) -> list[Part]:
    return [part for unit in units for coupling in unit.couplings for part in coupling.parts]


@pytest.mark.parametrize("family", FAMILIES)
def test_units_come_as_executed_and_layers_share_their_input(family: str) -> None:
    denoiser = nets.net(family)
    adapter = nets.ADAPTERS[family]()
    seen = observed(denoiser, family, paths(adapter.units(denoiser)))
    order = list(seen)

    assert set(order) == set(paths(adapter.units(denoiser)))
    for units in (adapter.units(denoiser), adapter.structures(denoiser)):
        begins = [min(order.index(path) for path in paths([unit])) for unit in units]
        assert begins == sorted(begins)
    for unit in adapter.units(denoiser):
        for layers in unit.inputs:
            assert all(seen[path].equal(seen[layers[0]]) for path in layers)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_attention_and_feed_forward_layer_is_there(family: str) -> None:
    denoiser = nets.net(family)
    adapter = nets.ADAPTERS[family]()
    linear = {
        name
        for name, module in denoiser.named_modules()
        if type(module) is torch.nn.Linear and "transformer_blocks." in name and ".norm" not in name
    }
    structures = adapter.structures(denoiser)
    coupled = [path for unit in structures for c in unit.couplings for path in c.layers]

    assert set(paths(adapter.units(denoiser))) == linear
    assert set(coupled) == linear
    assert len(set(coupled)) == len(coupled)


def some_removed(units: Sequence[Unit]) -> Layout:
    """The second head of every attention, and every third neuron."""
    return {
        part.owner: gone(part, [1] if part.kind == "heads" else list(range(0, part.count, 3)))
        for part in parts_of(units)
    }


def zero(denoiser: nn.Module, units: Sequence[Unit], layout: Layout) -> None:
    """Silence what `layout` removes, and leave every layer its shape."""
    for coupling in (coupling for unit in units for coupling in unit.couplings):
        for part in coupling.parts:
            for number in layout[part.owner]["removed"]:
                begin = part.begin + number * part.size
                for path in coupling.outputs:
                    linear_at(denoiser, path).weight.data[:, begin : begin + part.size] = 0


@pytest.mark.parametrize("family", FAMILIES)
def test_taking_heads_and_neurons_out_is_the_same_as_silencing_them(family: str) -> None:
    silenced, dense = nets.net(family), nets.net(family)
    units = nets.ADAPTERS[family]().structures(silenced)
    layout = some_removed(units)
    zero(silenced, units, layout)
    small = deepcopy(silenced)
    shrink(small, units, layout)
    found, expected = nets.run(small, family), nets.run(silenced, family)

    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert (expected - nets.run(dense, family)).abs().max() > 1e-3
    sizes = [sum(p.numel() for p in net.parameters()) for net in (small, silenced)]
    removed = removed_parameters(silenced, cuts(silenced, units, layout))
    assert sizes[1] - sizes[0] == removed > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_operations_told_of_a_layout_are_those_of_the_smaller_net(family: str) -> None:
    dense = nets.net(family)
    units = nets.ADAPTERS[family]().structures(dense)
    layout = some_removed(units)
    small = deepcopy(dense)
    shrink(small, units, layout)
    cost = layout_flops(lambda *_, **__: nets.run(dense, family), dense, units)
    counted = module_flops(lambda *_, **__: nets.run(small, family), small)[""]

    assert cost(layout) == pytest.approx(counted)
    assert 0 < counted < cost({})


def test_the_recipe_of_sd3_spares_its_first_and_last_block() -> None:
    units = nets.ADAPTERS["sd3"]().structures(nets.net("sd3"))
    advised = {unit.block for unit in units for coupling in unit.couplings if coupling.advised}

    assert advised == {"transformer_blocks.1"}


def test_joint_heads_are_shared_by_both_streams_but_for_the_last_block() -> None:
    units = nets.ADAPTERS["sd3"]().structures(nets.net("sd3"))
    outputs = {unit.block: unit.couplings[0].outputs for unit in units if len(unit.inputs) < 3}

    assert [path.rpartition("attn.")[2] for path in units[0].couplings[0].outputs] == [
        "to_out.0", "to_add_out",
    ]  # fmt: skip
    assert outputs["transformer_blocks.2"] == ("transformer_blocks.2.ff.net.2",)


def test_heads_and_neurons_stay_where_one_of_their_layers_is_left_out() -> None:
    units = nets.ADAPTERS["sd3"]().structures(nets.net("sd3"))
    left = without(units, {"transformer_blocks.0.attn.add_v_proj"})

    assert len(left) == len(units) - 1
    assert "transformer_blocks.0.attn" not in {part.owner for part in parts_of(left)}


def test_heads_that_share_a_norm_stay(caplog: pytest.LogCaptureFixture) -> None:
    denoiser: Any = nets.net("sd3")
    denoiser.transformer_blocks[0].attn.norm_q = torch.nn.RMSNorm(32)
    units = nets.ADAPTERS["sd3"]().structures(denoiser)

    assert "transformer_blocks.0.attn" not in {part.owner for part in parts_of(units)}
    assert "'transformer_blocks.0.attn' share keys or a norm" in caplog.text


def billions(denoiser: nn.Module, family: str, share: float) -> float:
    """Parameters that stay, in 1e9, where the family's recipe removes `share`."""
    units = nets.ADAPTERS[family]().structures(denoiser)
    advised = [unit for unit in units if any(coupling.advised for coupling in unit.couplings)]
    layout = {
        part.owner: gone(part, range(
            heads_to_remove(part.count, share) if part.kind == "heads"
            else neurons_to_remove(part.count, share, 1)
        ))
        for part in parts_of(advised)
    }  # fmt: skip
    removed = removed_parameters(denoiser, cuts(denoiser, units, layout))
    return (sum(parameter.numel() for parameter in denoiser.parameters()) - removed) / 1e9


PUBLISHED: dict[str, tuple[str, dict[str, Any], dict[float, float]]] = {
    "SD3-medium": (
        "sd3",
        {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536},
        {0: 2.0283, 0.1: 1.9107, 0.15: 1.8344, 0.2: 1.7756, 0.25: 1.7168},
    ),
    "SD3.5-large": (
        "sd3",
        {"num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432,
         "qk_norm": "rms_norm"},
        {0.15: 7.2765, 0.2: 7.0163, 0.25: 6.7564, 0.3: 6.5413},
    ),
    "SDXL": (
        "sdxl",
        {"block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048,
         "attention_head_dim": (5, 10, 20), "transformer_layers_per_block": (1, 2, 10),
         "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
         "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
         "use_linear_projection": True, "addition_embed_type": "text_time",
         "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816},
        {0: 2.5675, 0.15: 2.2372, 0.2: 2.1305, 0.3: 1.9121},
    ),
}  # fmt: skip


@pytest.mark.parametrize("model", PUBLISHED)
def test_parameters_that_stay_are_those_of_the_paper(model: str) -> None:
    from diffusers import SD3Transformer2DModel, UNet2DConditionModel

    family, config, published = PUBLISHED[model]
    with torch.device("meta"):
        builder = SD3Transformer2DModel if family == "sd3" else UNet2DConditionModel
        denoiser = builder(**config)

    for share, count in published.items():
        assert billions(denoiser, family, share) == pytest.approx(count, abs=1e-4), share
