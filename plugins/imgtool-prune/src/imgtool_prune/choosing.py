"""Which layers to prune and by how much, decided before any weight is loaded."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from imgtool.api import BadParams
from imgtool_prune.architectures import all_layers, linear_at, paths, without
from imgtool_prune.patterns import Unstructured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from imgtool_prune.architectures import Unit
    from imgtool_prune.makers import MaskParams, ModelParams
    from imgtool_prune.patterns import MaskPattern

log = logging.getLogger("imgtool.prune")


@dataclass(frozen=True)
class Choice:
    """What is to be pruned.

    Attributes
    ----------
    units : without what stays dense.
    pattern : of layers that have no sparsity of their own.
    own : sparsity by path of those that have one and are pruned.
    """

    units: list[Unit]
    pattern: MaskPattern
    own: dict[str, float]

    @property
    def free(self) -> list[str]:
        """Paths of layers without a sparsity of their own."""
        return [path for path in paths(self.units) if path not in self.own]


def choose(
    units: Sequence[Unit], denoiser: nn.Module, params: MaskParams, pattern: MaskPattern
) -> Choice:
    """What `params` leave of `units`; layers of sparsity 0 stay dense.

    Parameters
    ----------
    denoiser : its shapes are looked at, not its weights.

    Raises
    ------
    BadParams : nothing is left, a layer cannot have the pattern, or a glob meets none.
    ModelUnusable : a layer is no plain linear one.
    """
    units = left_to_prune(units, params)
    own = own_sparsities(params.sparsity_of, paths(units), pattern)
    for path in paths(units):
        try:
            pattern.check(*linear_at(denoiser, path).weight.shape)
        except ValueError as err:
            raise BadParams(f"layer {path!r}: {err}", "Exclude it, or take another N:M") from err
    common = pattern.sparsity if isinstance(pattern, Unstructured) else None
    dense = [path for path in paths(units) if own.get(path, common) == 0]
    pruned = {path: share for path, share in own.items() if share}
    return Choice(without(units, dense), pattern, pruned)


def left_to_prune(units: Sequence[Unit], params: ModelParams) -> list[Unit]:
    """Units of the blocks that `params` name, without the layers that they exclude.

    Raises
    ------
    BadParams : nothing is left, or the blocks are none.
    """
    units = _of_blocks(units, params.blocks)
    layers = all_layers(units)
    for glob in params.exclude:
        if not any(fnmatchcase(path, glob) for path in layers):
            log.warning("no layer is like %r: nothing is left out for it", glob)
    gone = [path for path in layers if any(fnmatchcase(path, glob) for glob in params.exclude)]
    left = without(units, gone)
    if not left:
        raise BadParams("no layer is left to prune", "Exclude fewer")
    return left


def _of_blocks(units: Sequence[Unit], asked: str) -> list[Unit]:
    """Units of the blocks FIRST:END; of all that the family's recipe prunes if none are asked."""
    if not asked:
        return [unit for unit in units if all(coupling.advised for coupling in unit.couplings)]
    blocks = list(dict.fromkeys(unit.block for unit in units))
    ends = re.fullmatch(r"(\d*):(\d*)", asked)
    chosen = blocks[slice(*(int(end) if end else None for end in ends.groups()))] if ends else []
    if not chosen:
        raise BadParams(
            f"blocks {asked!r} are none of 0:{len(blocks)}", "Write them like 1:23, END excluded"
        )
    return [unit for unit in units if unit.block in chosen]


def own_sparsities(
    entries: Sequence[str], layers: Sequence[str], pattern: MaskPattern
) -> dict[str, float]:
    """Sparsity by path of what `GLOB=SHARE` entries name; of several, the last counts.

    Raises
    ------
    BadParams : an entry is none, names no layer, or the pattern leaves no choice.
    """
    if entries and not isinstance(pattern, Unstructured):
        raise BadParams("N:M prunes all layers alike", "Leave sparsity_of out, or exclude layers")
    found: dict[str, float] = {}
    for entry in entries:
        glob, _, share = entry.rpartition("=")
        try:
            sparsity = Unstructured(float(share)).sparsity
        except ValueError as err:
            raise BadParams(
                f"sparsity_of {entry!r} is no GLOB=SHARE with a share in [0, 1)",
                "Write it like '*.attn2.*=0.3'",
            ) from err
        met = [path for path in layers if fnmatchcase(path, glob)]
        if not met:
            raise BadParams(
                f"sparsity_of {entry!r}: no layer is like {glob!r}", f"A layer is {layers[0]!r}"
            )
        found |= dict.fromkeys(met, sparsity)
    return found
