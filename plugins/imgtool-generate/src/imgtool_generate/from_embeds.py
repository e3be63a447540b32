"""Pictures as a function of prompt embeddings, for plugins that search over those.

The component `diffusers` of the kind `embeds-sampler` is `open_embeds_sampler(runtime, model, **)`.
Where the sampler can be unrolled, the function has a gradient; else the pipeline itself draws.
Steps are those of `generate`: the same embeddings and seed give the same picture.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from imgtool.api import ModelUnusable, Row
from imgtool_generate import noise
from imgtool_generate.decode import Params as DecodeParams
from imgtool_generate.decoding import Decoder, unscale
from imgtool_generate.prompts import warn_of_long_prompts
from imgtool_generate.sampling import Sampler
from imgtool_generate.stage import Params

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from imgtool.api import Runtime

# Pipelines whose denoising loop is the one that is unrolled here.
UNROLLED = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")


@dataclass(frozen=True)
class Condition:
    """What a picture is drawn from, beside noise.

    Attributes
    ----------
    embeds, negative : [T, D]; no negative where guidance needs none.
    pooled, negative_pooled : [P], of models that have them.
    start, end : tokens of the text itself lie from `start` up to, not including, the first end
        mark, which is at `end`.
    negative_prompt : text of `negative`.
    """

    embeds: Tensor
    pooled: Tensor | None = None
    negative: Tensor | None = None
    negative_pooled: Tensor | None = None
    start: int = 0
    end: int = 0
    negative_prompt: str = ""


@dataclass
class EmbedsSampler:
    """A model opened to draw from prompt embeddings.

    Attributes
    ----------
    why_no_gradient : empty: `draw` is differentiable.
    """

    sampler: Sampler
    decoder: Decoder
    why_no_gradient: str

    @property
    def mark(self) -> str:
        """Of the text encoder; goes into `prompt_embeds_of`."""
        return self.sampler.text_mark

    @property
    def settings(self) -> dict[str, object]:
        """Model, steps, guidance, size and scheduler as used."""
        used = self.sampler
        return {
            "model": used.params.model,
            "steps": used.steps,
            "guidance": used.guidance,
            "width": used.width,
            "height": used.height,
            "sampler": used.scheduler_name,
        }

    @property
    def evaluations(self) -> int:
        """Evaluations of the denoiser for one picture, two a step under guidance."""
        scheduler = self._scheduler()
        return len(scheduler.timesteps) * (2 if self.guided else 1)

    @property
    def guided(self) -> bool:
        """Whether each step also looks at the negative prompt."""
        return (self.sampler.guidance or 0) > 1

    @property
    def text_encoder(self) -> Any:
        """The net that read the prompt, the first where there are two."""
        return self.sampler.pipe.text_encoder

    @property
    def text_width(self) -> int:
        """Numbers of an embedding that come from that net."""
        return int(self.text_encoder.config.hidden_size)

    def encode(self, row: Row) -> Condition:
        """What the model's own pipeline draws from for `row`. A long prompt warns."""
        import torch

        pipe, negative = self.sampler.pipe, self.sampler.negative(row)
        warn_of_long_prompts(pipe, self.sampler.capability.defaults, [row])
        prompt = str(row.values.get("prompt") or "")
        given = {name: None for name in ("prompt_2", "prompt_3") if name in _encoding(pipe)}
        with torch.no_grad():
            found = pipe.encode_prompt(
                prompt=prompt, device=self.sampler.runtime.torch_device, num_images_per_prompt=1,
                do_classifier_free_guidance=self.guided, negative_prompt=negative or None, **given,
            )  # fmt: skip
        parts = [None if part is None else part[0].float() for part in (*found, None, None)]
        embeds, without, pooled, pooled_without = parts[:4]
        start, end = self._text_span(prompt)
        return Condition(embeds, pooled, without, pooled_without, start, end, negative)

    def _text_span(self, prompt: str) -> tuple[int, int]:
        """See `Condition.start`. By the first end mark: ids above it may be added tokens."""
        pipe = self.sampler.pipe
        tokenizer = pipe.tokenizer
        if hasattr(pipe, "maybe_convert_prompt"):
            prompt = pipe.maybe_convert_prompt(prompt, tokenizer)
        ids = tokenizer(prompt, truncation=True, max_length=tokenizer.model_max_length).input_ids
        last = len(ids) - 1
        end = ids.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in ids else last
        return int(ids[0] == tokenizer.bos_token_id), end

    def draw(
        self, condition: Condition, seed: int, checkpoint: bool = False, last: int = 0
    ) -> Tensor:
        """The picture [3, H, W], black at 0 and white at 1.

        Parameters
        ----------
        seed : of the noise and of what a stochastic sampler draws later.
        checkpoint : compute activations again in the backward pass instead of keeping them.
        last : steps through which the gradient goes, counted from the end; 0: all.
        """
        if self.why_no_gradient:
            return self._drawn_by_pipeline(condition, seed)
        z = unscale(self._latents(condition, seed, checkpoint, last), self.decoder.vae.config)

        def decoded(latents: Tensor) -> Tensor:
            pixels: Tensor = self.decoder.vae.decode(latents, return_dict=False)[0]
            return pixels

        z = z.to(self.decoder.vae.dtype)
        return (checkpointed(decoded, z, on=checkpoint)[0] / 2 + 0.5).clamp(0, 1)

    def _scheduler(self) -> Any:
        """A scheduler of its own, since it counts steps."""
        own = self.sampler.pipe.scheduler
        scheduler = type(own).from_config(own.config)
        scheduler.set_timesteps(self.sampler.steps, device=self.sampler.runtime.torch_device)
        return scheduler

    def _latents(self, condition: Condition, seed: int, checkpoint: bool, last: int) -> Tensor:
        import torch

        sampler, scheduler = self.sampler, self._scheduler()
        device, dtype = sampler.runtime.torch_device, sampler.dtype
        generator = torch.Generator("cpu").manual_seed(seed)
        x = noise.draw(sampler.shape, [generator]).to(device, dtype) * scheduler.init_noise_sigma
        extra = sampler.pipe.prepare_extra_step_kwargs([generator], 0.0)
        given = self._given(condition)
        frozen = len(scheduler.timesteps) - last if last else 0
        for at, t in enumerate(scheduler.timesteps):
            with torch.set_grad_enabled(torch.is_grad_enabled() and at >= frozen):
                # The scheduler counts, so it stays outside of what a checkpoint computes again.
                seen = scheduler.scale_model_input(torch.cat([x, x]) if self.guided else x, t)
                eps = self._predicted(seen, t, given, checkpoint)
                x = scheduler.step(eps, t, x, **extra, return_dict=False)[0].to(dtype)
        return x

    def _given(self, condition: Condition) -> dict[str, Any]:
        """Arguments of the denoiser that stay the same over all steps."""
        sampler = self.sampler
        device, dtype = sampler.runtime.torch_device, sampler.dtype
        embeds = self._with_negative(condition.embeds, condition.negative).to(device, dtype)
        given: dict[str, Any] = {"encoder_hidden_states": embeds}
        if condition.pooled is not None:
            size = (sampler.height, sampler.width)
            pooled = self._with_negative(condition.pooled, condition.negative_pooled)
            ids = sampler.pipe._get_add_time_ids(
                size, (0, 0), size, dtype=dtype,
                text_encoder_projection_dim=sampler.pipe.text_encoder_2.config.projection_dim,
            )  # fmt: skip
            given["added_cond_kwargs"] = {
                "text_embeds": pooled.to(device, dtype),
                "time_ids": ids.repeat(len(pooled), 1).to(device),
            }
        return given

    def _with_negative(self, positive: Tensor, negative: Tensor | None) -> Tensor:
        import torch

        return torch.stack([negative, positive] if self.guided else [positive])

    def _predicted(self, x: Tensor, t: Tensor, given: dict[str, Any], checkpoint: bool) -> Tensor:
        unet, guidance = self.sampler.pipe.unet, self.sampler.guidance

        def predicted(latents: Tensor) -> Tensor:
            noise_of: Tensor = unet(latents, t, **given, return_dict=False)[0]
            return noise_of

        eps = checkpointed(predicted, x, on=checkpoint)
        if not self.guided:
            return eps
        without, with_text = eps.chunk(2)
        return without + guidance * (with_text - without)

    def _drawn_by_pipeline(self, condition: Condition, seed: int) -> Tensor:
        import torch

        values: dict[str, Any] = {
            "seed": seed,
            "negative_prompt": condition.negative_prompt,
            "prompt_embeds": condition.embeds.cpu().numpy(),
        }
        if condition.pooled is not None:
            values["pooled_prompt_embeds"] = condition.pooled.cpu().numpy()
        latents, _ = self.sampler.sample([Row("", values)])
        images, broken = self.decoder.decode(latents, [""])
        picture = torch.from_numpy(images[0]).permute(2, 0, 1) / 255
        return torch.full_like(picture, torch.nan) if broken else picture


def checkpointed(compute: Callable[[Tensor], Tensor], x: Tensor, on: bool) -> Tensor:
    """`compute(x)`; `on`: without its activations, which are computed again going backward.

    `compute` must not change anything, or the second time is another.
    """
    from torch.utils.checkpoint import checkpoint

    if not on:
        return compute(x)
    result: Tensor = checkpoint(compute, x, use_reentrant=False, preserve_rng_state=False)
    return result


def open_embeds_sampler(runtime: Runtime, model: str, **settings: Any) -> EmbedsSampler:
    """The model opened to draw from embeddings; `settings` are parameters of `generate`.

    Raises
    ------
    ModelUnusable : it cannot be loaded, or does not draw from embeddings that are given.
    BadParams : a scheduler or size that this model does not take.
    """
    import torch

    if runtime.torch_dtype == torch.float16:
        # Gradients of half precision vanish.
        runtime = replace(runtime, dtype="float32")
    sampler = Sampler.open(Params(model=model, **settings), runtime)
    _check(sampler, model)
    made = EmbedsSampler(sampler, Decoder.open(DecodeParams(model=model), runtime), "")
    made.why_no_gradient = _why_no_gradient(made)
    for net in (sampler.pipe.unet, made.decoder.vae) if not made.why_no_gradient else ():
        # Stages share these nets, and none trains them.
        net.requires_grad_(False)
    return made


def _check(sampler: Sampler, model: str) -> None:
    known = sampler.capability.defaults
    encodes = "do_classifier_free_guidance" in _encoding(sampler.pipe)
    # `generate` cannot be given a mask, and padding that is attended to is another prompt.
    if "prompt_embeds" not in known or not encodes or "prompt_attention_mask" in known:
        raise ModelUnusable(
            f"{model!r} is a {sampler.capability.pipeline}, which does not draw from embeddings "
            "alone",
            "Name a Stable Diffusion 1, 2, 3 or XL model, or tabletop/turbo",
        )


def _encoding(pipe: Any) -> Mapping[str, object]:
    """Parameters of the pipeline's own encoding of prompts; none where it has none."""
    encode = getattr(pipe, "encode_prompt", None)
    return inspect.signature(encode).parameters if encode else {}


def _why_no_gradient(made: EmbedsSampler) -> str:
    """Why the sampler cannot be unrolled; empty: it can."""
    sampler = made.sampler
    name = sampler.capability.pipeline
    if name not in UNROLLED or sampler.pipe.unet.config.get("time_cond_proj_dim"):
        return f"the loop of {name} is not known here"
    if getattr(sampler.pipe.unet, "is_quantized", False):
        return "its denoiser is quantised"
    return "" if _has_gradient(made) else f"{sampler.scheduler_name} has no gradient"


def _has_gradient(made: EmbedsSampler) -> bool:
    """Whether what a step of the scheduler gives depends on the prediction by a gradient."""
    import torch

    scheduler = made._scheduler()
    device = made.sampler.runtime.torch_device
    x = torch.zeros((1, *made.sampler.shape), device=device)
    eps = torch.zeros_like(x).requires_grad_()
    extra = made.sampler.pipe.prepare_extra_step_kwargs([torch.Generator("cpu")], 0.0)
    t = scheduler.timesteps[0]
    with torch.enable_grad():
        found = scheduler.step(
            eps, t, scheduler.scale_model_input(x, t), **extra, return_dict=False
        )
    return bool(found[0].requires_grad)
