"""The transformers of FLUX.1: blocks of two streams, then blocks of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool_prune.architectures import Coupling, Part, Unit, coupled
from imgtool_prune.couplings import QUERY_KEY_VALUE, heads
from imgtool_prune.joint import joint_structures, joint_units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


class Flux:
    """`FluxTransformer2DModel`."""

    def units(self, denoiser: nn.Module) -> list[Unit]:
        """See `ArchAdapter.units`."""
        double = [unit for path in _double(denoiser) for unit in joint_units(denoiser, path)]
        return double + [unit for path in _single(denoiser) for unit in _units(path)]

    def structures(self, denoiser: nn.Module) -> list[Unit]:
        """See `ArchAdapter.structures`."""
        double = [unit for path in _double(denoiser) for unit in joint_structures(denoiser, path)]
        return double + [coupled(path, _projection(denoiser, path)) for path in _single(denoiser)]


def _double(denoiser: Any) -> list[str]:
    return [f"transformer_blocks.{i}" for i in range(len(denoiser.transformer_blocks))]


def _single(denoiser: Any) -> list[str]:
    count = len(denoiser.single_transformer_blocks)
    return [f"single_transformer_blocks.{i}" for i in range(count)]


def _units(path: str) -> Iterator[Unit]:
    attention = tuple(f"{path}.attn.{leaf}" for leaf in QUERY_KEY_VALUE)
    yield Unit(path, ((*attention, f"{path}.proj_mlp"),))
    yield Unit(path, ((f"{path}.proj_out",),))


def _projection(denoiser: nn.Module, path: str) -> list[Coupling]:
    """One projection takes what the heads give and then what the neurons give."""
    found = heads(denoiser, f"{path}.attn")
    block: Any = denoiser.get_submodule(path)
    up = f"{path}.proj_mlp"
    neurons = Part("neurons", up, (up,), 1, block.proj_mlp.out_features,
                   block.attn.to_q.out_features)  # fmt: skip
    return [Coupling((f"{path}.proj_out",), (*([found] if found else []), neurons))]
