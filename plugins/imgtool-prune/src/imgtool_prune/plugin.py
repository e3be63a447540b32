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
        ("prune.l1", "PruneL1"),
    ):
        yield Component("maker", name, f"imgtool_prune.makers:{attribute}")
    for family, where, summary in (
        ("UNet2DConditionModel", "unet:UNet", "UNets of Stable Diffusion 1, 2 and XL"),
        ("SD3Transformer2DModel", "sd3:SD3", "transformers of Stable Diffusion 3 and 3.5"),
        ("FluxTransformer2DModel", "flux:Flux", "transformers of FLUX.1"),
    ):
        for name in (family, f"Pruned{family}"):
            yield Component("prune-architecture", name, f"imgtool_prune.{where}", summary)
    # generate.diffusers imports what is named here when a model folder asks for it, nothing else.
    yield Component(
        "diffusers-classes",
        "imgtool_prune.compact",
        "imgtool_prune.compact:__all__",
        "denoisers that have lost heads and neurons",
    )
    yield Component(
        "show",
        "prune_report.json",
        "imgtool_prune.showing:shown",
        "Error and sparsity by layer of a pruned model",
    )
