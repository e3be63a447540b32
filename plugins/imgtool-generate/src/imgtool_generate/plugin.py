"""What this plugin registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The two stages."""
    yield Component(
        "stage",
        "generate.diffusers",
        "imgtool_generate.stage:Diffusers",
        "Sample latents from a prompt with any text-to-image model of diffusers.",
    )
    yield Component(
        "stage",
        "decode.vae",
        "imgtool_generate.decode:DecodeVae",
        "Decode latents to a picture with the model's own autoencoder.",
    )
