"""What a denoiser costs with some of it pruned: bytes on disk, and FLOPs of an evaluation.

Of single weights, what is left costs as if zeros were neither stored nor multiplied by; of heads
and neurons, what the compact layout costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import nn

from imgtool_prune.architectures import linear_at
from imgtool_prune.layout import cuts, removed_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imgtool_prune.architectures import Unit
    from imgtool_prune.layout import Layout
    from imgtool_prune.pipeline import Source

LayoutCost: TypeAlias = "Callable[[Layout], float]"


@dataclass(frozen=True)
class Costs:
    """What the denoiser costs, in bytes or in FLOPs, with some weights zero.

    Attributes
    ----------
    dense : with nothing pruned.
    layers : by path, what goes with all of a layer's weights.
    masks : by path, what it costs to say which weights of a pruned layer are left.
    """

    dense: float
    layers: Mapping[str, float]
    masks: Mapping[str, float]

    def at(self, shares: Mapping[str, float]) -> float:
        """The cost with these sparsities by path."""
        pruned = {path: share for path, share in shares.items() if share}
        return self.dense - sum(
            self.layers[path] * share - self.masks[path] for path, share in pruned.items()
        )


def size_costs(denoiser: nn.Module, layers: Sequence[str], source: Source) -> Costs:
    """Bytes where zeros are not stored, but a bit for each weight that says whether it is zero."""
    width = _stored_width(source)
    sizes = {path: linear_at(denoiser, path).weight.numel() for path in layers}
    return Costs(
        dense=width * _parameters(denoiser),
        layers={path: width * size for path, size in sizes.items()},
        masks={path: size / 8 for path, size in sizes.items()},
    )


def flop_costs(pipe: Any, denoiser: nn.Module, layers: Sequence[str]) -> Costs:
    """FLOPs of one evaluation of one picture, where products by zero are not counted."""
    counts = module_flops(pipe, denoiser)
    return Costs(
        dense=counts[""],
        layers={path: counts[path] for path in layers},
        masks=dict.fromkeys(layers, 0.0),
    )


def layout_size(denoiser: nn.Module, units: Sequence[Unit], source: Source) -> LayoutCost:
    """Bytes without the heads and neurons of a layout."""
    width, whole = _stored_width(source), _parameters(denoiser)
    return lambda lost: width * (whole - removed_parameters(denoiser, cuts(denoiser, units, lost)))


def layout_flops(pipe: Any, denoiser: nn.Module, units: Sequence[Unit]) -> LayoutCost:
    """FLOPs of one evaluation of one picture without the heads and neurons of a layout."""
    counts = module_flops(pipe, denoiser)

    def cost(lost: Layout) -> float:
        gone = 0.0
        for path, cut in cuts(denoiser, units, lost).items():
            layer = linear_at(denoiser, path)
            gone += counts[path] * (1 - cut.kept(layer) / layer.weight.numel())
        for owner, part in lost.items():
            if part["kind"] == "heads":
                own = counts[owner] - _of_linear_layers(denoiser, owner, counts)
                gone += own * len(part["removed"]) / part["original"]
        return counts[""] - gone

    return cost


def _of_linear_layers(denoiser: nn.Module, owner: str, counts: Mapping[str, float]) -> float:
    """What the projections of an attention cost: the rest is queries by keys by values."""
    modules = denoiser.get_submodule(owner).named_modules(prefix=owner)
    return sum(counts[path] for path, module in modules if isinstance(module, nn.Linear))


def module_flops(pipe: Any, denoiser: nn.Module) -> dict[str, float]:
    """FLOPs of each module in one evaluation of one picture, by path; of all under "".

    Draws one step of an empty prompt.
    """
    drawn: list[int] = []
    hook = denoiser.register_forward_hook(lambda _, __, made: drawn.append(len(made[0])))
    try:
        with flop_counter() as counter:
            pipe([""], num_inference_steps=1, output_type="latent")
    finally:
        hook.remove()
    root = type(denoiser).__name__
    found = dict.fromkeys((path for path, _ in denoiser.named_modules()), 0.0)
    for name, by_operation in counter.get_flop_counts().items():
        path = name.removeprefix(root).removeprefix(".")
        if name.startswith(root) and path in found:
            found[path] = sum(by_operation.values()) / sum(drawn)
    return found


def flop_counter() -> Any:
    """PyTorch's counter, which knows no attention on processors unless told."""
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return int(sdpa_flop_count(query, key, value))

    on_processors = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return FlopCounterMode(display=False, custom_mapping={on_processors: attention})


def _parameters(denoiser: nn.Module) -> int:
    return sum(parameter.numel() for parameter in denoiser.parameters())


def _stored_width(source: Source) -> int:
    """Bytes of a weight in the denoiser's file."""
    from safetensors import safe_open

    file = min((source.folder / source.denoiser).glob("*.safetensors"), key=lambda f: len(f.name))
    with safe_open(file, framework="pt") as stored:
        return int(stored.get_tensor(next(iter(stored.keys()))).itemsize)
