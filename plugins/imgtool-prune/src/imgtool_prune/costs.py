"""What a denoiser costs, layer by layer: bytes on disk, and FLOPs of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool_prune.architectures import linear_at
from imgtool_prune.target import Costs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from imgtool_prune.pipeline import Source


def size_costs(denoiser: nn.Module, layers: Sequence[str], source: Source) -> Costs:
    """Bytes where zeros are not stored, but a bit for each weight that says whether it is zero."""
    width = _stored_width(source)
    sizes = {path: linear_at(denoiser, path).weight.numel() for path in layers}
    total = sum(parameter.numel() for parameter in denoiser.parameters())
    return Costs(
        dense=width * total,
        layers={path: width * size for path, size in sizes.items()},
        masks={path: size / 8 for path, size in sizes.items()},
    )


def _stored_width(source: Source) -> int:
    """Bytes of a weight in the denoiser's file."""
    from safetensors import safe_open

    file = min((source.folder / source.denoiser).glob("*.safetensors"), key=lambda f: len(f.name))
    with safe_open(file, framework="pt") as stored:
        return int(stored.get_tensor(next(iter(stored.keys()))).itemsize)


def flop_costs(pipe: Any, denoiser: nn.Module, layers: Sequence[str]) -> Costs:
    """FLOPs of one evaluation of one picture, where products by zero are not counted.

    Draws one step of an empty prompt.
    """
    from torch.utils.flop_counter import FlopCounterMode

    drawn: list[int] = []
    hook = denoiser.register_forward_hook(lambda _, __, made: drawn.append(len(made[0])))
    try:
        with FlopCounterMode(display=False) as counter:
            pipe([""], num_inference_steps=1, output_type="latent")
    finally:
        hook.remove()
    root = type(denoiser).__name__
    counts = {name: sum(by.values()) for name, by in counter.get_flop_counts().items()}
    return Costs(
        dense=counts[root] / sum(drawn),
        layers={path: counts[f"{root}.{path}"] / sum(drawn) for path in layers},
        masks=dict.fromkeys(layers, 0.0),
    )
