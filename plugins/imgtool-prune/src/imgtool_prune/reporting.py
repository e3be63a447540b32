"""What `prune_report.json` counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool_prune.costs import flop_costs, layout_flops
from imgtool_prune.layout import removed_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from imgtool_prune.architectures import Unit
    from imgtool_prune.layout import Cut
    from imgtool_prune.packages import Facts, Result


def summed(denoiser: nn.Module, facts: Facts, taken: Mapping[str, Cut]) -> dict[str, Any]:
    """The part of the report that counts; `taken` is what smaller layers have lost."""
    zeros, targeted = (sum(layer[what] for layer in facts.layers) for what in ("zeros", "weights"))
    parameters = sum(parameter.numel() for parameter in denoiser.parameters())
    return {
        "alphas": facts.alphas,
        "layers": facts.layers,
        "parameters": parameters,
        "parameters_kept": parameters - removed_parameters(denoiser, taken),
        "targeted_weights": targeted,
        "zeros": zeros,
        "sparsity": zeros / targeted if targeted else 0.0,
        "warnings": ["LoRAs and ControlNets of the dense model do not fit"] if taken else [],
    }


def operations(
    pipe: Any, denoiser: nn.Module, units: Sequence[Unit], result: Result
) -> dict[str, float]:
    """FLOPs of one evaluation of one picture: of all, and of what is not pruned."""
    if result.layout:
        cost = layout_flops(pipe, denoiser, units)
        return {"flops": cost({}), "flops_kept": cost(result.layout)}
    shares = {layer["path"]: layer["zeros"] / layer["weights"] for layer in result.facts.layers}
    costs = flop_costs(pipe, denoiser, list(shares))
    return {"flops": costs.dense, "flops_kept": costs.at(shares)}
