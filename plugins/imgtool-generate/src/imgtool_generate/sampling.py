"""Rows to latents: what one opened `generate.diffusers` keeps, and how it computes."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imgtool.api import BadParams, Row
from imgtool_generate import noise
from imgtool_generate.capability import Capability, default_size, inspect_pipeline
from imgtool_generate.encoding import text_encoder_mark
from imgtool_generate.loading import load_pipeline
from imgtool_generate.options import for_rows, read_options
from imgtool_generate.prompts import check_embeds, prompt_arguments, warn_of_long_prompts
from imgtool_generate.schedule import check_name, check_steps, is_about_steps, make_scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch

    from imgtool.api import Runtime
    from imgtool_generate.stage import Params

log = logging.getLogger("imgtool.generate")

PADS_TO_LONGEST = ("CogView4",)


@dataclass
class Sampler:
    """A pipeline with everything settled that does not depend on a row.

    Attributes
    ----------
    steps, guidance, width, height : as used, the model's own where the params leave them open.
    shape : [C, h, w] of the latents.
    text_mark : of the text encoder; see `text_encoder_mark`.
    """

    params: Params
    runtime: Runtime
    pipe: Any
    capability: Capability
    options: dict[str, object]
    steps: int
    guidance: float | None
    width: int
    height: int
    shape: tuple[int, int, int]
    dtype: torch.dtype
    text_mark: str
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, params: Params, runtime: Runtime) -> Sampler:
        """Load the model and settle what the params leave to it.

        Raises
        ------
        ModelUnusable, BadParams : see `Diffusers.open`.
        """
        check_name(params.scheduler)
        pipe = load_pipeline(
            params.model, params.lora, params.offload, runtime, params.sparse_kernels
        )
        capability = inspect_pipeline(pipe)
        options = read_options(params.option, capability)
        pipe.scheduler = make_scheduler(params.scheduler, pipe.scheduler)
        width, height = settle_size(params, pipe, capability)
        advice: Any = runtime.model(params.model, "text-to-image").advice
        own_steps = advice.get("steps", capability.defaults.get("num_inference_steps", 50))
        steps = params.steps or int(own_steps)
        check_steps(pipe.scheduler, steps)
        if params.negative and not capability.negative:
            raise BadParams(f"{capability.pipeline} takes no negative prompt", "Leave it out")
        if "use_resolution_binning" in capability.accepted:
            # It would draw another size and resize the picture, which is not ours to do here.
            options.setdefault("use_resolution_binning", False)
        return cls(
            params=params,
            runtime=runtime,
            pipe=pipe,
            capability=capability,
            options=options,
            steps=steps,
            guidance=settle_guidance(params.guidance, advice.get("guidance"), capability),
            width=width,
            height=height,
            shape=noise.latent_shape(pipe, capability, width, height),
            dtype=runtime.torch_dtype,
            text_mark=text_encoder_mark(params.model, runtime),
        )

    @property
    def scheduler_name(self) -> str:
        """Class of the scheduler."""
        return type(self.pipe.scheduler).__name__

    def negative(self, row: Row) -> str:
        """What to keep out of the picture of `row`."""
        own = row.values.get("negative_prompt")
        return str(own) if own else self.params.negative

    def sample(self, rows: Sequence[Row]) -> tuple[list[np.ndarray], list[int]]:
        """Latents [C, h, w] float32 of each row, and positions of rows that gave NaN twice."""
        check_embeds(rows, self.text_mark)
        warn_of_long_prompts(self.pipe, {**self.capability.defaults, **self.options}, rows)
        latents: list[Any] = [None] * len(rows)
        for places in self._groups(rows):
            found = self.runtime.halving(self._compute, [rows[at] for at in places])
            for at, array in zip(places, found, strict=True):
                latents[at] = array
        import torch

        as_loaded = self.params.offload == "none" and not self.params.sparse_kernels
        higher = self.dtype != torch.float32 and as_loaded
        again = (lambda broken: self._in_float32([rows[at] for at in broken])) if higher else None
        return self.runtime.retry_broken(latents, again)

    def _groups(self, rows: Sequence[Row]) -> list[list[int]]:
        """Positions of rows that can be computed together without one changing another.

        SDXL takes an absent negative prompt for zeros, an empty one beside others for text; some
        pipelines pad prompts to the longest, and attend to what they pad with.
        """
        if type(self.pipe).__name__.startswith(PADS_TO_LONGEST):
            return [[at] for at in range(len(rows))]
        groups: dict[object, list[int]] = {}
        for at, row in enumerate(rows):
            given: Any = [row.values.get(n) for n in ("prompt_embeds", "pooled_prompt_embeds")]
            shapes = tuple(None if embeds is None else embeds.shape for embeds in given)
            groups.setdefault((bool(self.negative(row)), shapes), []).append(at)
        return list(groups.values())

    def _compute(self, rows: Sequence[Row]) -> list[np.ndarray]:
        try:
            with self._lock:
                output = self.pipe(**self._arguments(rows))[0]
        except (AssertionError, TypeError, ValueError) as err:
            if not is_about_steps(err):
                raise
            raise BadParams(
                f"{self.scheduler_name} cannot choose steps as {self.capability.pipeline} wants",
                "Take another scheduler, and leave the options timesteps and sigmas out",
            ) from err
        latents = noise.as_latents(output, self.capability, self.shape)
        return list(latents.numpy())

    def _arguments(self, rows: Sequence[Row]) -> dict[str, Any]:
        generators = [row.generator() for row in rows]
        arguments: dict[str, Any] = {
            **prompt_arguments(rows, [self.negative(row) for row in rows], self.capability),
            "num_inference_steps": self.steps,
            "width": self.width,
            "height": self.height,
            "generator": generators,
            "output_type": "latent",
            "return_dict": False,
            **for_rows(self.options, len(rows)),
        }
        if self.capability.scale_arg and self.guidance is not None:
            arguments[self.capability.scale_arg] = self.guidance
        if noise.gives_noise(self.capability):
            drawn = noise.draw(self.shape, generators)
            packed = noise.pack(drawn) if self.capability.latent_packed else drawn
            arguments["latents"] = packed.to(self.runtime.torch_device, self._noise_dtype())
        for name in ("prompt_embeds", "pooled_prompt_embeds", "prompt_attention_mask"):
            if name in arguments:
                value = arguments[name].to(self.runtime.torch_device)
                arguments[name] = value.to(self.dtype) if value.is_floating_point() else value
        return arguments

    def _noise_dtype(self) -> torch.dtype:
        import torch

        # Sana keeps its latents in float32 whatever its nets compute in.
        return torch.float32 if self.capability.pipeline.startswith("Sana") else self.dtype

    def _in_float32(self, rows: Sequence[Row]) -> list[np.ndarray]:
        """The rows once more, with the nets in float32 for as long as it takes."""
        import torch

        log.info("%d rows gave NaN: computing them again in float32", len(rows))
        parts = [
            part
            for name, net in self.pipe.components.items()
            if isinstance(net, torch.nn.Module) and name != "vae"
            for part in (*net.parameters(), *net.buffers())
            if part.is_floating_point()
        ]
        # Each has its own: T5 keeps some weights in float32 beside half precision.
        dtypes, own = [part.dtype for part in parts], self.dtype
        self.dtype = torch.float32
        try:
            for part in parts:
                part.data = part.data.float()
            return [array for row in rows for array in self._compute([row])]
        finally:
            self.dtype = own
            for part, dtype in zip(parts, dtypes, strict=True):
                part.data = part.data.to(dtype)


def settle_size(params: Params, pipe: Any, capability: Capability) -> tuple[int, int]:
    """Width and height as asked, the model's own where not.

    Raises
    ------
    BadParams : the model cannot draw that size.
    """
    own_width, own_height = default_size(pipe)
    width, height = params.width or own_width, params.height or own_height
    for name, value in (("width", width), ("height", height)):
        step = capability.size_multiple
        if value % step:
            below, above = value // step * step, (value // step + 1) * step
            fits = f"{below} or {above}" if below else str(above)
            raise BadParams(
                f"{name} {value} is not a multiple of {step}", f"This model draws {fits}"
            )
    return width, height


def settle_guidance(
    asked: float | None, advised: float | None, capability: Capability
) -> float | None:
    """The guidance scale to use; None where the pipeline has none.

    Raises
    ------
    BadParams : one was asked of a pipeline that has none.
    """
    if not capability.scale_arg:
        if asked is not None:
            raise BadParams(f"{capability.pipeline} has no guidance scale", "Leave guidance out")
        return None
    own: Any = capability.defaults.get(capability.scale_arg)
    value = next((v for v in (asked, advised, own) if isinstance(v, int | float)), None)
    return None if value is None else float(value)
