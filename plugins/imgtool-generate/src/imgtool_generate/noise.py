"""Shapes of latents, noise for each row, and packing: the arithmetic between us and pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool_generate.capability import denoiser, vae_factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from imgtool_generate.capability import Capability

# Pipelines whose noise has exactly the shape that `latent_shape` says.
KNOWN = (
    "StableDiffusion", "LatentConsistencyModel", "Kolors", "PixArt", "Sana", "Flux",
    "HunyuanDiT", "AuraFlow", "CogView",
)  # fmt: skip
NOT_KNOWN = ("Flux2", "FluxKontext")


def latent_shape(
    pipe: Any, capability: Capability, width: int, height: int
) -> tuple[int, int, int]:
    """[C, h, w] of the latents of one picture, unpacked."""
    channels, factor = int(denoiser(pipe).config.in_channels), vae_factor(pipe)
    if capability.latent_packed:
        rows, columns = 2 * (height // (2 * factor)), 2 * (width // (2 * factor))
        return channels // 4, rows, columns
    return channels, height // factor, width // factor


def gives_noise(capability: Capability) -> bool:
    """Whether we know the shape of a pipeline's noise well enough to draw it ourselves."""
    name = capability.pipeline
    return capability.latents_arg and name.startswith(KNOWN) and not name.startswith(NOT_KNOWN)


def draw(shape: Sequence[int], generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Standard normal noise [B, C, h, w] float32: each row from its own CPU generator.

    Drawn in float32 whatever the pipeline computes in, so that dtype does not change the noise.
    """
    import torch

    return torch.stack([torch.randn(tuple(shape), generator=each) for each in generators])


def pack(latents: torch.Tensor) -> torch.Tensor:
    """[B, C, h, w] as a sequence of 2x2 patches [B, h/2 * w/2, 4C], in FLUX's order."""
    b, c, h, w = latents.shape
    patches = latents.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(b, (h // 2) * (w // 2), c * 4)


def unpack(sequence: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The inverse of `pack`: [B, T, 4C] to [B, C, rows, columns]."""
    b, _, c = sequence.shape
    patches = sequence.view(b, rows // 2, columns // 2, c // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return patches.reshape(b, c // 4, rows, columns)


def as_latents(
    output: torch.Tensor, capability: Capability, shape: tuple[int, int, int]
) -> torch.Tensor:
    """What a pipeline gave as [B, C, h, w] float32 on the CPU, still scaled for the model.

    Raises
    ------
    ValueError : its form is not known.
    """
    if output.ndim == 5 and output.shape[2] == 1:
        output = output[:, :, 0]
    if output.ndim == 3 and capability.latent_packed:
        output = unpack(output, shape[1], shape[2])
    if output.ndim != 4:
        raise ValueError(f"{capability.pipeline} gave latents of shape {tuple(output.shape)}")
    return output.detach().to("cpu").float()
