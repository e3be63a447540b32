"""What the compact layout of a model without some heads and neurons saves: FLOPs and time.

    python benchmarks/prune_layouts.py [--shares 0.1,0.2,0.3,0.5] [--runs 7]

Random nets of three families, small enough for a CPU: the UNet of `tabletop`, and transformers of
SD3 and FLUX of width 512. One evaluation of each in float32, dense and compact in turn; the least
of the times counts, in seconds of the processor, which other work on the machine disturbs less than
those of the wall. Which heads and neurons go makes no difference here, so the first do.
"""

from __future__ import annotations

import argparse
import sys
import time
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel
from prune_solver import least_seconds
from torch import nn

sys.path.append(str(Path(__file__).parents[1] / "plugins" / "imgtool-prune" / "tests"))

import nets

from imgtool_prune.costs import flop_counter
from imgtool_prune.layout import gone, shrink
from imgtool_prune.structured import heads_to_remove, neurons_to_remove

TRANSFORMER = {"attention_head_dim": 64, "num_attention_heads": 8, "joint_attention_dim": 512}


def tabletop() -> tuple[nn.Module, dict[str, Any]]:
    """The UNet that `tabletop` has, for pictures of 64 pixels, eight at once with guidance."""
    import imgtool_tabletop

    folder = Path(imgtool_tabletop.__file__).parent / "weights" / "tabletop" / "unet"
    net = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder))
    text = torch.randn(16, 24, 128)
    return net, {"sample": torch.randn(16, 8, 8, 8), "timestep": 7, "encoder_hidden_states": text}


def sd3() -> tuple[nn.Module, dict[str, Any]]:
    """Six blocks, 256 tokens of the picture."""
    net = SD3Transformer2DModel(
        sample_size=32, num_layers=6, caption_projection_dim=512, pooled_projection_dim=512,
        **TRANSFORMER,
    )  # fmt: skip
    return net, {
        "hidden_states": torch.randn(2, 16, 32, 32), "timestep": torch.tensor([500.0] * 2),
        "encoder_hidden_states": torch.randn(2, 77, 512),
        "pooled_projections": torch.randn(2, 512),
    }  # fmt: skip


def flux() -> tuple[nn.Module, dict[str, Any]]:
    """Two blocks of two streams and four of one, 256 tokens of the picture."""
    net = FluxTransformer2DModel(
        in_channels=64, num_layers=2, num_single_layers=4, pooled_projection_dim=512,
        axes_dims_rope=(16, 24, 24), **TRANSFORMER,
    )  # fmt: skip
    return net, {
        "hidden_states": torch.randn(2, 256, 64), "timestep": torch.tensor([0.5] * 2),
        "encoder_hidden_states": torch.randn(2, 77, 512),
        "pooled_projections": torch.randn(2, 512),
        "img_ids": torch.zeros(256, 3), "txt_ids": torch.zeros(77, 3),
    }  # fmt: skip


FAMILIES = {"tabletop": ("sd", tabletop), "SD3": ("sd3", sd3), "FLUX": ("flux", flux)}


def compact(dense: nn.Module, family: str, share: float) -> nn.Module:
    """`dense` without `share` of the heads and neurons that its family's recipe prunes."""
    net = deepcopy(dense)
    units = nets.ADAPTERS[family]().structures(net)
    parts = [
        part
        for unit in units
        for coupling in unit.couplings
        if coupling.advised
        for part in coupling.parts
    ]
    counts = {
        part.owner: heads_to_remove(part.count, share) if part.kind == "heads"
        else neurons_to_remove(part.count, share)
        for part in parts
    }  # fmt: skip
    shrink(net, units, {part.owner: gone(part, range(counts[part.owner])) for part in parts})
    return net


def flops(net: nn.Module, given: dict[str, Any]) -> int:
    """Of one evaluation."""
    with flop_counter() as counter:
        net(**given)
    return int(counter.get_total_flops())


def main() -> None:
    """Print a line for each family and share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shares", default="0.1,0.2,0.3,0.5")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    print("family    removed   parameters  FLOPs   time")
    for name, (family, build) in FAMILIES.items():
        torch.manual_seed(0)
        dense, given = build()
        shares = [float(share) for share in options.shares.split(",")]
        smaller = [compact(dense.eval(), family, share) for share in shares]
        every = [dense, *smaller]
        times = least_seconds(
            [partial(net, **given) for net in every], options.runs, time.process_time
        )
        costs = [flops(net, given) for net in every]
        sizes = [sum(parameter.numel() for parameter in net.parameters()) for net in every]
        for share, *found in zip(shares, sizes[1:], costs[1:], times[1:], strict=True):
            ratios = [
                new / old for new, old in zip(found, (sizes[0], costs[0], times[0]), strict=True)
            ]
            print(f"{name:9s} {share:5.0%}    " + "".join(f"{ratio:8.3f}" for ratio in ratios))


if __name__ == "__main__":
    main()
