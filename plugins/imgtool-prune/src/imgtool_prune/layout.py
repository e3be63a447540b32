"""Which heads and neurons of a model are gone, and what is then left of its layers.

A layout stands in the denoiser's config under `KEY`, by the path of the module that owns the heads
or neurons; their numbers are those of the dense model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

import torch

from imgtool_prune.architectures import linear_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from imgtool_prune.architectures import Coupling, Part, Unit

# diffusers keeps what begins with "_" in configs, and gives it to no class.
KEY = "_imgtool_pruned_layout"


class Gone(TypedDict):
    """What one module has lost: numbers of `removed` out of `original`, so that `kept` stay."""

    kind: Literal["heads", "neurons"]
    original: int
    kept: int
    removed: list[int]


Layout: TypeAlias = "dict[str, Gone]"


@dataclass(frozen=True)
class Cut:
    """What stays of a linear layer.

    Attributes
    ----------
    rows, columns : numbers of those that stay; None: all.
    """

    rows: Tensor | None = None
    columns: Tensor | None = None

    def weight(self, weight: Tensor) -> Tensor:
        """What stays of a weight [R, d]."""
        kept = weight if self.rows is None else weight[self.rows]
        return (kept if self.columns is None else kept[:, self.columns]).contiguous()

    def bias(self, bias: Tensor) -> Tensor:
        """What stays of a bias [R]."""
        return bias if self.rows is None else bias[self.rows]

    def kept(self, layer: nn.Linear) -> int:
        """How many weights of `layer` stay."""
        rows = layer.out_features if self.rows is None else len(self.rows)
        return rows * (layer.in_features if self.columns is None else len(self.columns))


def gone(part: Part, removed: Sequence[int]) -> Gone:
    """An entry of a layout."""
    return {
        "kind": part.kind,
        "original": part.count,
        "kept": part.count - len(removed),
        "removed": sorted(removed),
    }


def composed(before: Mapping[str, Gone], now: Mapping[str, Gone]) -> Layout:
    """The layout of a model that had the layout `before` and lost `now` of what it had."""
    both: Layout = dict(before)
    for owner, lost in now.items():
        earlier = before.get(owner)
        if earlier is None:
            both[owner] = lost
            continue
        here = sorted(set(range(earlier["original"])) - set(earlier["removed"]))
        removed = earlier["removed"] + [here[number] for number in lost["removed"]]
        both[owner] = {**earlier, "kept": lost["kept"], "removed": sorted(removed)}
    return both


def cuts(denoiser: nn.Module, units: Sequence[Unit], layout: Mapping[str, Gone]) -> dict[str, Cut]:
    """What stays of each layer that `layout` makes smaller, by its path.

    Parameters
    ----------
    denoiser : with all that `layout` counts from.
    units : its heads and neurons.
    """
    found: dict[str, Cut] = {}
    for coupling in _couplings(units):
        lost = [part for part in coupling.parts if _is_smaller(part, layout)]
        for part in lost:
            rows = _kept(part, layout)
            for path in part.feeds:
                copies = linear_at(denoiser, path).out_features // len(rows)
                found[path] = Cut(rows=rows.repeat(copies).nonzero().flatten())
        if lost:
            columns = _columns(denoiser, coupling, layout)
            found |= {path: Cut(columns=columns) for path in coupling.outputs}
    return found


def removed_parameters(denoiser: nn.Module, found: Mapping[str, Cut]) -> int:
    """How many parameters fewer `denoiser` has without what cuts take."""
    removed = 0
    for path, cut in found.items():
        layer = linear_at(denoiser, path)
        removed += layer.weight.numel() - cut.kept(layer)
        if layer.bias is not None and cut.rows is not None:
            removed += layer.out_features - len(cut.rows)
    return removed


def shrink(denoiser: nn.Module, units: Sequence[Unit], layout: Mapping[str, Gone]) -> None:
    """Take what `layout` says out of `denoiser`, which may be on the meta device."""
    for path, cut in cuts(denoiser, units, layout).items():
        layer = linear_at(denoiser, path)
        layer.weight = torch.nn.Parameter(cut.weight(layer.weight.data))
        if layer.bias is not None:
            layer.bias = torch.nn.Parameter(cut.bias(layer.bias.data))
        layer.out_features, layer.in_features = layer.weight.shape
    for coupling in _couplings(units):
        for part in coupling.parts:
            if part.kind == "heads" and part.owner in layout:
                _tell(denoiser.get_submodule(part.owner), layout[part.owner]["kept"], part.size)


def _couplings(units: Sequence[Unit]) -> list[Coupling]:
    return [coupling for unit in units for coupling in unit.couplings]


def _tell(attention: Any, heads: int, size: int) -> None:
    """Set what attentions of diffusers remember of their heads; some have no slices."""
    attention.heads = heads
    for name, value in (
        ("inner_dim", heads * size), ("inner_kv_dim", heads * size), ("sliceable_head_dim", heads),
    ):  # fmt: skip
        if hasattr(attention, name):
            setattr(attention, name, value)


def _is_smaller(part: Part, layout: Mapping[str, Gone]) -> bool:
    return part.owner in layout and bool(layout[part.owner]["removed"])


def _kept(part: Part, layout: Mapping[str, Gone]) -> Tensor:
    """[columns of the part] bool, true where they stay."""
    stays = torch.ones(part.count, dtype=torch.bool, device="cpu")
    stays[layout[part.owner]["removed"]] = False
    return stays.repeat_interleave(part.size)


def _columns(denoiser: nn.Module, coupling: Coupling, layout: Mapping[str, Gone]) -> Tensor:
    width = linear_at(denoiser, coupling.outputs[0]).in_features
    stays = torch.ones(width, dtype=torch.bool, device="cpu")
    for part in coupling.parts:
        if part.owner in layout:
            stays[part.columns] = _kept(part, layout)
    return stays.nonzero().flatten()
