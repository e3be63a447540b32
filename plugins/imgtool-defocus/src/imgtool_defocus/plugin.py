"""What this plugin registers: stages, their trainers, a model, lens models, depth backends, PLY."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The stages, renderers by name for `lens_model`, what runs models of depth, and PLY."""
    yield Component("stage", "defocus.thinlens", "imgtool_defocus.stage:ThinLens")
    yield Component("stage", "defocus.auto", "imgtool_defocus.auto.stage:Auto")
    yield Component("maker", "train.defocus.auto", "imgtool_defocus.auto.maker:TrainAuto")
    yield Component("stage", "depth.auto", "imgtool_defocus.depth_stage:Auto")
    yield Component("stage", "depth.ppd", "imgtool_defocus.ppd.stage:Ppd")
    yield Component("maker", "train.depth.ppd", "imgtool_defocus.ppd.maker:TrainPpd")
    for name, module, summary in (
        ("transformers", "regression", "Depth Anything, DPT, ZoeDepth, Depth Pro and GLPN"),
        ("marigold", "marigold", "Marigold's pipeline of diffusers"),
        ("ppd", "ppd.model", "Pixel-Perfect Depth"),
    ):
        yield Component("depth-backend", name, f"imgtool_defocus.{module}:load", summary)
    for name, summary in (
        ("layered", "Slices from far to near; knows what hides what"),
        ("scatter", "Every pixel spreads its light; keeps the energy of lights"),
        ("gather", "Every pixel averages its disc; simple and differentiable"),
        ("trace", "First hits of rays from all over the lens; slow, a reference"),
    ):
        yield Component("lens", name, f"imgtool_defocus.{name}:render", summary)
    yield Component(
        "model",
        "defocus/tabletop",
        "imgtool_defocus:weights/tabletop",
        "Where a photographer would focus, among solids on a table",
        {
            "task": "focus-distance",
            "quality": "{on_largest:.0%} on the largest",
            "licence": "Apache-2.0",
            "resolution": "48x48",
        },
    )
    yield Component(
        "exporter",
        "ply",
        "imgtool_defocus.pointcloud:encode",
        "A picture and its depth as coloured points",
        {"fields": "image depth"},
    )
