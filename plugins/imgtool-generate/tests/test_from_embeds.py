"""Drawing from embeddings: the pictures of `generate`, and gradients as differences have them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from imgtool.api import Batch, ModelUnusable, Row
from imgtool.runtime.context import Runtime
from imgtool_generate.decode import DecodeVae
from imgtool_generate.decode import Params as DecodeParams
from imgtool_generate.from_embeds import EmbedsSampler, open_embeds_sampler
from imgtool_generate.stage import Diffusers, Params

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from imgtool_generate.from_embeds import Condition

    Folder = Callable[[str], Path]
    Open = Callable[..., Any]

ROW = Row("a", {"prompt": "a red cube on a table", "seed": 5})
SIZE = {"width": 16, "height": 16}


@pytest.fixture
def drawing(tiny_folder: Folder) -> Iterator[Callable[..., EmbedsSampler]]:
    """Opens the tiny model of a family."""
    runtime = Runtime(device="cpu").for_stage()

    def open_sampler(family: str, **settings: Any) -> EmbedsSampler:
        return open_embeds_sampler(runtime, str(tiny_folder(family)), **SIZE | settings)

    yield open_sampler
    runtime.release()


def in_float64(drawing: EmbedsSampler) -> tuple[EmbedsSampler, Condition]:
    """The sampler with nets of its own in float64, and what it draws from."""
    import copy

    condition = drawing.encode(ROW)
    sampler, decoder = copy.copy(drawing.sampler), copy.copy(drawing.decoder)
    sampler.pipe, sampler.dtype = copy.copy(sampler.pipe), torch.float64
    sampler.pipe.unet = copy.deepcopy(sampler.pipe.unet).double()
    decoder.vae = copy.deepcopy(decoder.vae).double()
    doubles = {
        name: value.double() for name, value in vars(condition).items() if torch.is_tensor(value)
    }
    return EmbedsSampler(sampler, decoder, ""), replace(condition, **doubles)


def objective(
    drawing: EmbedsSampler, condition: Condition, embeds: Tensor, **options: Any
) -> Tensor:
    picture = drawing.draw(replace(condition, embeds=embeds), 5, **options)
    weights = torch.linspace(-1, 1, picture.numel(), dtype=torch.float64).sin()
    return (picture.double().flatten() * weights).sum()


def gradient(drawing: EmbedsSampler, condition: Condition, **options: Any) -> Tensor:
    embeds = condition.embeds.clone().requires_grad_()
    (found,) = torch.autograd.grad(objective(drawing, condition, embeds, **options), embeds)
    return found


@pytest.mark.parametrize(
    ("scheduler", "h", "tolerance"),
    [
        ("ddim", 1e-4, 1e-6),
        ("unipc", 1e-4, 1e-6),
        ("pndm", 1e-4, 1e-6),
        # These compute their steps in float32, whatever they are given.
        ("euler", 1e-2, 2e-2),
        ("euler-a", 1e-2, 2e-2),
        ("dpm++", 1e-2, 2e-2),
        ("lcm", 1e-4, 1e-6),
    ],
)
def test_gradient_is_that_of_finite_differences(
    drawing: Callable[..., EmbedsSampler], scheduler: str, h: float, tolerance: float
) -> None:
    steps = 4 if scheduler == "pndm" else 3  # PNDM begins with four of Runge and Kutta
    made, condition = in_float64(drawing("sd", steps=steps, guidance=7.5, scheduler=scheduler))
    g = gradient(made, condition)
    v = torch.randn(g.shape, generator=torch.Generator().manual_seed(1), dtype=g.dtype)
    with torch.no_grad():
        ends = [objective(made, condition, condition.embeds + sign * h * v) for sign in (1, -1)]
    slope = float((g * v).sum())
    assert abs(slope) > 1e-4
    assert float(ends[0] - ends[1]) / (2 * h) == pytest.approx(slope, rel=tolerance)


def test_gradient_of_checkpoints_is_the_plain_one(drawing: Callable[..., EmbedsSampler]) -> None:
    made, condition = in_float64(drawing("sd", steps=3, guidance=7.5, scheduler="euler"))
    plain = gradient(made, condition)
    assert torch.equal(gradient(made, condition, checkpoint=True), plain)
    assert torch.equal(gradient(made, condition, last=3), plain)
    assert not torch.allclose(gradient(made, condition, last=1), plain)
    kept = [kept_bytes(made, condition, checkpoint) for checkpoint in (False, True)]
    assert kept[1] < kept[0] / 10


def kept_bytes(drawing: EmbedsSampler, condition: Condition, checkpoint: bool) -> int:
    """Memory of what the forward pass keeps for the backward pass, weights apart."""
    kept: list[Tensor] = []
    embeds = condition.embeds.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        objective(drawing, condition, embeds, checkpoint=checkpoint)
    nets = (drawing.sampler.pipe.unet, drawing.decoder.vae)
    weights = {w.untyped_storage().data_ptr() for net in nets for w in net.parameters()}
    sizes = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
    return sum(size for at, size in sizes.items() if at not in weights)


class Planted(EmbedsSampler):
    """Asks the scheduler inside of what a checkpoint computes again: the step is another then."""

    def _predicted(self, x: Tensor, t: Tensor, given: dict[str, Any], checkpoint: bool) -> Tensor:
        from imgtool_generate.from_embeds import checkpointed

        self.scheduler = getattr(self, "scheduler", None) or self._scheduler()

        def predicted(latents: Tensor) -> Tensor:
            sigma = self.scheduler.sigmas[self.scheduler.step_index or 0]
            found = super(Planted, self)._predicted(latents / (sigma + 1), t, given, False)
            self.scheduler.step(found.detach(), t, latents[:1].detach())
            return found

        return checkpointed(predicted, x, on=checkpoint)


def test_scheduler_inside_a_checkpoint_is_caught(drawing: Callable[..., EmbedsSampler]) -> None:
    made, condition = in_float64(drawing("sd", steps=3, guidance=1.0, scheduler="euler"))
    planted = [Planted(made.sampler, made.decoder, "") for _ in range(2)]
    plain = gradient(planted[0], condition)
    with pytest.raises((AssertionError, IndexError)):
        again = gradient(planted[1], condition, checkpoint=True)
        torch.testing.assert_close(again, plain, rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("family", "settings", "differentiable"),
    [
        ("sd", {"steps": 2, "guidance": 5.0}, True),
        ("sd", {"steps": 3, "guidance": 1.0, "scheduler": "lcm"}, True),
        ("sdxl", {"steps": 2, "guidance": 4.0, "negative": "dark"}, True),
        ("sdxl", {"steps": 1, "guidance": 0.0, "scheduler": "euler-a"}, True),
        ("sd3", {"steps": 2, "guidance": 4.0}, False),
    ],
)
def test_pictures_are_those_of_generate(
    family: str, settings: dict[str, Any], differentiable: bool,
    drawing: Callable[..., EmbedsSampler], tiny_folder: Folder, opened: Open,
) -> None:  # fmt: skip
    made = drawing(family, **settings)
    assert (not made.why_no_gradient) == differentiable
    condition = made.encode(ROW)
    moved = replace(condition, embeds=condition.embeds * 1.01)
    ref = str(tiny_folder(family))
    stage = opened(Diffusers, Params(model=ref, **SIZE, **settings))
    decode = opened(DecodeVae, DecodeParams(model=ref))
    rows = [Batch(("a",), {"prompt": ["a red cube on a table"], "seed": [5]})]
    given = {"prompt_embeds": [moved.embeds.numpy()], "prompt_embeds_of": [made.mark]}
    if moved.pooled is not None:
        given["pooled_prompt_embeds"] = [moved.pooled.numpy()]
    rows.append(rows[0].with_columns(**given))
    for asked, batch in zip((condition, moved), rows, strict=True):
        want = decode.process(stage.process(batch))["image"][0]
        with torch.no_grad():
            found = made.draw(asked, 5)
        levels = (found * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        assert np.abs(levels.astype(int) - want).max() <= 1


def test_text_lies_before_the_first_end_mark(drawing: Callable[..., EmbedsSampler]) -> None:
    condition = drawing("sd", steps=1).encode(ROW)
    assert (condition.start, condition.end) == (1, 7)
    empty = drawing("sd", steps=1).encode(Row("a", {"prompt": "", "seed": 1}))
    assert (empty.start, empty.end) == (1, 1)


def test_pipeline_that_needs_a_mask_is_refused(drawing: Callable[..., EmbedsSampler]) -> None:
    with pytest.raises(ModelUnusable, match="does not draw from embeddings alone"):
        drawing("pixart", steps=1)
