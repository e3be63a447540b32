"""What this plugin registers: models by alias, their trainers, and a bench suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

LICENCE = {"licence": "Apache-2.0", "resolution": "64x64"}


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The family."""
    yield Component(
        "model",
        "tabletop",
        "imgtool_tabletop:weights/tabletop",
        "Solids on a table, 64×64, StableDiffusionPipeline",
        {"task": "text-to-image", **LICENCE},
    )
    yield Component(
        "model",
        "tabletop/clip",
        "imgtool_tabletop:weights/clip",
        "Pictures and captions of the tabletop world in one space, CLIPModel",
        {"task": "image-text-similarity", **LICENCE},
    )
    for name, attribute in (
        ("train.tabletop", "TrainGenerator"),
        ("train.tabletop/clip", "TrainClip"),
        ("train.tabletop/vae", "TrainVae"),
        ("train.tabletop/judge", "TrainJudge"),
    ):
        yield Component("maker", name, f"imgtool_tabletop.makers:{attribute}")
    yield Component(
        "bench",
        "tabletop",
        "imgtool_tabletop.bench:tabletop",
        "Prompt agreement of a generator on held-out captions of the tabletop world",
    )
