"""What this plugin registers: makers, and the families that they know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """Makers and adapters."""
    for name, attribute in (
        ("prune.obs", "PruneObs"),
        ("prune.sparsegpt", "PruneSparseGpt"),
        ("prune.wanda", "PruneWanda"),
        ("prune.dsnot", "PruneDsnot"),
        ("prune.magnitude", "PruneMagnitude"),
    ):
        yield Component("maker", name, f"imgtool_prune.makers:{attribute}")
    yield Component(
        "prune-architecture",
        "UNet2DConditionModel",
        "imgtool_prune.unet:UNet",
        "UNets of Stable Diffusion 1, 2 and XL",
    )
