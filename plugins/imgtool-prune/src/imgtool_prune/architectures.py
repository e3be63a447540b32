"""What pruning has to know of a family of denoisers, and where others add theirs.

An adapter is registered as a component of kind `prune-architecture` under the name of the
denoiser's class: `Component("prune-architecture", "MyDenoiser", "my_package.module:MyAdapter")`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from imgtool.api import ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import nn

KIND = "prune-architecture"


@dataclass(frozen=True)
class Part:
    """Heads of an attention, or neurons of a feed-forward part: what is removed one by one.

    Attributes
    ----------
    kind : what they are.
    owner : path of the module they belong to; no other part has it.
    feeds : paths of the linear layers whose rows they are, `size` rows each. Where such a layer has
        twice the rows, as gated ones do, its second half is like its first.
    size, count : columns of each in the output projections, and how many there are.
    begin : their first column.
    """

    kind: Literal["heads", "neurons"]
    owner: str
    feeds: tuple[str, ...]
    size: int
    count: int
    begin: int = 0

    @property
    def columns(self) -> slice:
        """All their columns in the output projections."""
        return slice(self.begin, self.begin + self.size * self.count)


@dataclass(frozen=True)
class Coupling:
    """Output projections whose columns are heads or neurons, which go from all of them at once.

    Attributes
    ----------
    outputs : paths of linear layers, one for each stream; the image's is the first.
    parts : what their columns are.
    advised : whether the family's recipe prunes them unless blocks are named.
    """

    outputs: tuple[str, ...]
    parts: tuple[Part, ...]
    advised: bool = True

    @property
    def layers(self) -> tuple[str, ...]:
        """Paths of all layers that lose rows or columns."""
        return (*self.outputs, *(path for part in self.parts for path in part.feeds))


@dataclass(frozen=True)
class Unit:
    """Layers of one block whose inputs do not depend on one another.

    Attributes
    ----------
    block : path of the block in the denoiser.
    inputs : paths of linear layers; those in one tuple see the same input.
    couplings : of units of heads and neurons; their outputs are the `inputs`.
    """

    block: str
    inputs: tuple[tuple[str, ...], ...]
    couplings: tuple[Coupling, ...] = ()


def coupled(block: str, couplings: Sequence[Coupling]) -> Unit:
    """A unit of heads and neurons."""
    inputs = tuple((path,) for coupling in couplings for path in coupling.outputs)
    return Unit(block, inputs, tuple(couplings))


class ArchAdapter(Protocol):
    """Knows one family of denoisers."""

    def units(self, denoiser: nn.Module) -> list[Unit]:
        """Layers whose weights can be pruned, in order of execution."""
        ...

    def structures(self, denoiser: nn.Module) -> list[Unit]:
        """Heads and neurons that can be removed, in order of execution; none where unknown."""
        ...


def without(units: Sequence[Unit], excluded: Collection[str]) -> list[Unit]:
    """`units` without the layers whose paths are `excluded`, and without what is then empty.

    Heads and neurons stay where any of their layers is excluded.
    """
    left = []
    for unit in units:
        inputs = tuple(
            tuple(path for path in layers if path not in excluded) for layers in unit.inputs
        )
        kept = Unit(unit.block, tuple(layers for layers in inputs if layers))
        if unit.couplings:
            couplings = [c for c in unit.couplings if not any(at in excluded for at in c.layers)]
            kept = coupled(unit.block, couplings)
        if kept.inputs:
            left.append(kept)
    return left


def paths(units: Sequence[Unit]) -> list[str]:
    """Paths of all layers that are solved for, in order."""
    return [path for unit in units for layers in unit.inputs for path in layers]


def all_layers(units: Sequence[Unit]) -> list[str]:
    """Paths of all layers that change, also those that only lose rows."""
    lose = [path for unit in units for coupling in unit.couplings for path in coupling.layers]
    return lose or paths(units)


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
