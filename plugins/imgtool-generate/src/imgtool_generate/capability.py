"""What a loaded pipeline can do, found by looking at its `__call__` and components."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from imgtool_generate.classes import TABLE, Cfg, ClassFacts, Joint

if TYPE_CHECKING:
    from collections.abc import Mapping

# Arguments that imgtool sets itself, or that no text on a command line can give.
OURS = frozenset({
    "self", "prompt", "negative_prompt", "num_inference_steps", "height", "width",
    "num_images_per_prompt", "generator", "latents", "output_type", "return_dict", "callback",
    "callback_steps", "callback_on_step_end", "callback_on_step_end_tensor_inputs", "image", "args",
    "kwargs",
})  # fmt: skip
NOT_TEXT = ("embeds", "mask", "image", "latents", "_kwargs", "image_latents")


@dataclass(frozen=True)
class Capability:
    """The record that decides which arguments a pipeline is given.

    Attributes
    ----------
    pipeline : class name.
    cfg : how guidance is done: B doubled batch, T two passes, E embedded.
    callback : `n` after each step, `l` legacy, `none`.
    attention : cross-attention, or joint and its order of tokens.
    negative : whether it takes a negative prompt.
    scale_arg : name of the guidance argument; empty: it has none.
    size_multiple : width and height must be multiples of this.
    latent_packed : whether its latents are sequences of 2x2 patches.
    latents_arg : whether noise can be given.
    ip_adapter, pag, freeu : further abilities.
    accepted : names of the options that text can set.
    defaults : argument name to its default.
    """

    pipeline: str
    cfg: Cfg
    callback: Literal["n", "l", "none"]
    attention: Joint
    negative: bool
    scale_arg: str
    size_multiple: int
    latent_packed: bool
    latents_arg: bool
    ip_adapter: bool
    pag: bool
    freeu: bool
    accepted: tuple[str, ...]
    defaults: Mapping[str, object]


def inspect_pipeline(pipe: Any) -> Capability:
    """The record of a loaded pipeline."""
    cls = type(pipe)
    parameters = inspect.signature(cls.__call__).parameters
    facts = TABLE.get(cls.__name__, ClassFacts())
    scale = facts.scale if facts.scale in parameters else ""
    packed = hasattr(cls, "_unpack_latents")
    callback: Literal["n", "l", "none"] = "none"
    if "callback_on_step_end" in parameters:
        callback = "n"
    elif "callback" in parameters:
        callback = "l"
    return Capability(
        pipeline=cls.__name__,
        cfg=facts.cfg,
        callback=callback,
        attention=facts.attention,
        negative="negative_prompt" in parameters,
        scale_arg=scale,
        size_multiple=size_multiple(pipe, packed),
        latent_packed=packed,
        latents_arg="latents" in parameters,
        ip_adapter=hasattr(cls, "load_ip_adapter"),
        pag="pag_scale" in parameters,
        freeu=hasattr(cls, "enable_freeu") and getattr(pipe, "unet", None) is not None,
        accepted=tuple(
            sorted(n for n in parameters if n not in OURS | {scale} and not n.endswith(NOT_TEXT))
        ),
        defaults={
            name: parameter.default
            for name, parameter in parameters.items()
            if parameter.default is not inspect.Parameter.empty
        },
    )


def denoiser(pipe: Any) -> Any:
    """The net that predicts noise or velocity."""
    return getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)


def vae_factor(pipe: Any) -> int:
    """Pixels of the picture for each cell of the latents."""
    return int(getattr(pipe, "vae_scale_factor", 8))


def size_multiple(pipe: Any, packed: bool) -> int:
    """What width and height must be multiples of."""
    net, factor = denoiser(pipe), vae_factor(pipe)
    patch = 2 if packed else int(getattr(net.config, "patch_size", None) or 1)
    if type(pipe).__name__.startswith("Sana"):
        return math.lcm(factor * patch, 32)
    # Pipelines of the first generation insist on 8 whatever their autoencoder does.
    return math.lcm(factor * patch, 8)


def default_size(pipe: Any) -> tuple[int, int]:
    """Width and height that the model draws when nobody says, pixels."""
    sample = getattr(pipe, "default_sample_size", None)
    if not sample:
        sample = getattr(denoiser(pipe).config, "sample_size", None) or 64
    rows, columns = (sample, sample) if isinstance(sample, int) else tuple(sample)
    return int(columns) * vae_factor(pipe), int(rows) * vae_factor(pipe)
