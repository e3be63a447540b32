"""What this plugin registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable


@hookimpl
def imgtool_components() -> Iterable[Component]:
    """The two stages, the text encoder by itself, and drawing from embeddings."""
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
    yield Component(
        "text-encoder",
        "diffusers",
        "imgtool_generate.encoding:load_text_encoder",
        "The text encoder of a model of diffusers",
    )
    yield Component(
        "embeds-sampler",
        "diffusers",
        "imgtool_generate.from_embeds:open_embeds_sampler",
        "Pictures as a differentiable function of prompt embeddings",
    )
