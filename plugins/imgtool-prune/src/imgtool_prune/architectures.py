"""What pruning has to know of a family of denoisers, and where others add theirs.

An adapter is registered as a component of kind `prune-architecture` under the name of the
denoiser's class: `Component("prune-architecture", "MyDenoiser", "my_package.module:MyAdapter")`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from imgtool.api import ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

KIND = "prune-architecture"


@dataclass(frozen=True)
class Unit:
    """Layers of one block whose inputs do not depend on one another.

    Attributes
    ----------
    block : path of the block in the denoiser.
    inputs : paths of linear layers; those in one tuple see the same input.
    """

    block: str
    inputs: tuple[tuple[str, ...], ...]


class ArchAdapter(Protocol):
    """Knows one family of denoisers."""

    def units(self, denoiser: nn.Module) -> list[Unit]:
        """What can be pruned, in order of execution."""
        ...


def without(units: Sequence[Unit], excluded: Sequence[str]) -> list[Unit]:
    """`units` without the layers whose paths are `excluded`, and without what is then empty."""
    gone = set(excluded)
    left = []
    for unit in units:
        inputs = tuple(tuple(path for path in layers if path not in gone) for layers in unit.inputs)
        kept = tuple(layers for layers in inputs if layers)
        if kept:
            left.append(Unit(unit.block, kept))
    return left


def paths(units: Sequence[Unit]) -> list[str]:
    """Paths of all layers, in order."""
    return [path for unit in units for layers in unit.inputs for path in layers]


def linear_at(denoiser: nn.Module, path: str) -> nn.Linear:
    """The plain linear layer at `path`.

    Raises
    ------
    ModelUnusable : it is of another class: quantised, or wrapped for a LoRA.
    """
    from torch import nn

    layer = denoiser.get_submodule(path)
    if type(layer) is not nn.Linear:
        raise ModelUnusable(
            f"layer {path!r} is {type(layer).__name__}, no plain linear layer",
            "Merge LoRAs, unfuse projections or dequantise the model first",
        )
    return layer


def split(units: Sequence[Unit], count: int) -> list[list[Unit]]:
    """`units` as `count` runs of neighbours, the first longer by one where they do not divide."""
    count = min(count, len(units))
    short, longer = divmod(len(units), count) if count else (0, 0)
    ends = [short * (i + 1) + min(i + 1, longer) for i in range(count)]
    return [list(units[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
