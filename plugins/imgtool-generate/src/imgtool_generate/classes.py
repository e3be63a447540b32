"""What inspection cannot see of diffusers' text-to-image pipelines: one line for each class.

Names only; nothing is imported. Classes that are missing here still run, with what can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Cfg: TypeAlias = Literal["B", "T", "E"]
Joint: TypeAlias = Literal["cross", "image-text", "text-image", "unknown"]


@dataclass(frozen=True)
class ClassFacts:
    """Facts about one pipeline class.

    Attributes
    ----------
    cfg : guidance by a doubled batch (B), by a second pass (T), or embedded in the model (E).
    attention : cross-attention, or joint attention and the order of its tokens.
    scale : name of the argument that is the guidance scale.
    why_not : why its pictures cannot go through latents; empty: they can.
    """

    cfg: Cfg = "B"
    attention: Joint = "unknown"
    scale: str = "guidance_scale"
    why_not: str = ""


_CROSS = ClassFacts("B", "cross")
_PIXELS = ClassFacts("B", why_not="it draws pixels, and has no latents to keep")
_CASCADE = ClassFacts("B", why_not="it decodes in two stages of its own")
_VIDEO = ClassFacts("T", why_not="it makes video")

TABLE: Mapping[str, ClassFacts] = {
    "StableDiffusionPipeline": _CROSS,
    "StableDiffusionXLPipeline": _CROSS,
    "StableDiffusionPAGPipeline": _CROSS,
    "StableDiffusionXLPAGPipeline": _CROSS,
    "StableDiffusionSAGPipeline": _CROSS,
    "StableDiffusionPanoramaPipeline": _CROSS,
    "StableDiffusionPipelineSafe": _CROSS,
    "KolorsPipeline": _CROSS,
    "KolorsPAGPipeline": _CROSS,
    "StableDiffusion3Pipeline": ClassFacts("B", "image-text"),
    "StableDiffusion3PAGPipeline": ClassFacts("B", "image-text"),
    "LatentConsistencyModelPipeline": ClassFacts("E", "cross"),
    "PixArtAlphaPipeline": _CROSS,
    "PixArtSigmaPipeline": _CROSS,
    "PixArtSigmaPAGPipeline": _CROSS,
    "SanaPipeline": _CROSS,
    "SanaPAGPipeline": _CROSS,
    "SanaSprintPipeline": ClassFacts("E", "cross"),
    "HunyuanDiTPipeline": _CROSS,
    "HunyuanDiTPAGPipeline": _CROSS,
    "AuraFlowPipeline": ClassFacts("B", "text-image"),
    "LuminaPipeline": _CROSS,
    "Lumina2Pipeline": ClassFacts("T", "text-image"),
    "CogView3PlusPipeline": ClassFacts("B", "text-image"),
    "CogView4Pipeline": ClassFacts("T", "text-image"),
    "FluxPipeline": ClassFacts("E", "text-image"),
    "FluxKontextPipeline": ClassFacts("E", "text-image"),
    "Flux2Pipeline": ClassFacts("E", "text-image"),
    "Flux2KleinPipeline": ClassFacts("T", "text-image"),
    "ChromaPipeline": ClassFacts("T", "text-image"),
    "QwenImagePipeline": ClassFacts("T", "text-image", "true_cfg_scale"),
    "QwenImage21Pipeline": ClassFacts("T", "text-image", "true_cfg_scale"),
    "ZImagePipeline": ClassFacts("B", "text-image"),
    "OvisImagePipeline": ClassFacts("T", "text-image"),
    "PRXPipeline": ClassFacts("B"),
    "Krea2Pipeline": ClassFacts("T"),
    "NucleusMoEImagePipeline": ClassFacts("T"),
    "GlmImagePipeline": ClassFacts("T"),
    "Ideogram4Pipeline": ClassFacts("T", scale="guidance_schedule"),
    "Kandinsky3Pipeline": _CROSS,
    "Kandinsky5T2IPipeline": ClassFacts("T"),
    "HiDreamImagePipeline": ClassFacts("B", "image-text"),
    "HunyuanImagePipeline": ClassFacts("T"),
    "OmniGenPipeline": ClassFacts("B"),
    "BriaPipeline": ClassFacts("B"),
    "ErnieImagePipeline": ClassFacts("T"),
    "LongCatImagePipeline": ClassFacts("T"),
    "IFPipeline": _PIXELS,
    "PRXPixelPipeline": _PIXELS,
    "AmusedPipeline": ClassFacts("B", why_not="it draws tokens, not latents"),
    "KandinskyCombinedPipeline": _CASCADE,
    "KandinskyV22CombinedPipeline": _CASCADE,
    "WuerstchenCombinedPipeline": _CASCADE,
    "StableCascadeCombinedPipeline": _CASCADE,
    "HeliosPipeline": _VIDEO,
    "HeliosPyramidPipeline": _VIDEO,
}
