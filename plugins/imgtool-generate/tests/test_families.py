"""Every family through its own pipeline, against that pipeline called by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from imgtool.api import Runtime
from imgtool.batch import Batch
from imgtool_generate.decode import DecodeVae
from imgtool_generate.decode import Params as DecodeParams
from imgtool_generate.sampling import Sampler
from imgtool_generate.stage import Diffusers, Params

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZES = {"sana": 64}
SHAPES = {family: (4, 8, 8) for family in ("sd", "sdxl", "sd3", "flux", "pixart")}
SHAPES["sana"] = (4, 32, 32)
FAMILIES = sorted(SHAPES)
PROMPTS = ["a red cube", "a blue sphere on the left of a green cone"]


def batch(seeds: list[int], prompts: list[str]) -> Batch:
    """One row for each seed."""
    ids = tuple(f"r{seed}" for seed in seeds)
    return Batch(ids, {"prompt": list(prompts), "seed": list(seeds)})


def small(family: str, folder: Path, **values: Any) -> Params:
    """Params of a picture that takes milliseconds."""
    size = SIZES.get(family, 32)
    return Params(**{"model": str(folder), "steps": 2, "width": size, "height": size} | values)


def by_hand(family: str, folder: Path, prompt: str, seed: int) -> np.ndarray:
    """The picture that diffusers itself makes of the same noise, [H, W, 3] from 0 to 1."""
    import diffusers

    size = SIZES.get(family, 32)
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    noise = torch.randn((1, *SHAPES[family]), generator=torch.Generator().manual_seed(seed))
    if family == "flux":
        noise = pipe._pack_latents(noise, 1, *noise.shape[1:])
    binning = {"use_resolution_binning": False} if family in ("pixart", "sana") else {}
    return pipe(
        prompt, latents=noise, num_inference_steps=2, width=size, height=size, output_type="np",
        **binning,
    ).images[0]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_latents_decode_to_the_picture_of_the_pipeline(
    family: str, tiny_folder: Callable[[str], Path], opened: Callable[..., Any]
) -> None:
    folder = tiny_folder(family)
    drawn = opened(Diffusers, small(family, folder)).process(batch([5], PROMPTS[1:]))
    decoded = opened(DecodeVae, DecodeParams(model=str(folder))).process(drawn)
    latents, image = drawn["latents"][0], decoded["image"][0]
    assert (latents.shape, latents.dtype) == (SHAPES[family], np.float32)
    assert image.dtype == np.uint8
    assert image.std() > 1
    want = by_hand(family, folder, PROMPTS[1], 5) * 255
    assert np.abs(image - want).max() <= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_does_not_depend_on_its_neighbours(
    family: str, tiny_folder: Callable[[str], Path], opened: Callable[..., Any]
) -> None:
    stage = opened(Diffusers, small(family, tiny_folder(family)))
    both = stage.process(batch([1, 2], PROMPTS))["latents"]
    alone = stage.process(batch([2], PROMPTS[1:]))["latents"]
    assert np.abs(both[1] - alone[0]).max() <= 1e-4 * np.abs(alone[0]).max()
    assert np.abs(both[0] - both[1]).max() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_deterministic_rows_have_the_same_bytes_alone(
    family: str, tiny_folder: Callable[[str], Path], opened: Callable[..., Any]
) -> None:
    params = small(family, tiny_folder(family))
    stage = opened(Diffusers, params, deterministic=True)
    both = stage.process(batch([1, 2], PROMPTS))["latents"]
    again = opened(Diffusers, params, deterministic=True).process(batch([2], PROMPTS[1:]))
    assert both[1].tobytes() == again["latents"][0].tobytes()
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("family", FAMILIES)
def test_record_says_what_the_spec_says(
    family: str, tiny_folder: Callable[[str], Path], opened: Callable[..., Any]
) -> None:
    record = opened(Diffusers, small(family, tiny_folder(family))).sampler.capability
    found = (record.cfg, record.callback, record.latent_packed, record.size_multiple)
    assert (
        found
        == {
            "sd": ("B", "n", False, 8),
            "sdxl": ("B", "n", False, 8),
            "sd3": ("B", "n", False, 8),
            "flux": ("E", "n", True, 8),
            "pixart": ("B", "l", False, 8),
            "sana": ("B", "n", False, 32),
        }[family]
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_xformers_is_asked_where_it_computes_the_same_attention(
    family: str, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

    pipe = diffusers.DiffusionPipeline.from_pretrained(tiny_folder(family))
    asked: list[str] = []
    name = "enable_xformers_memory_efficient_attention"
    monkeypatch.setattr(pipe, name, lambda: asked.append(family))
    for backend in ("sdpa", "xformers"):
        runtime = Runtime(device="cpu")
        monkeypatch.setitem(vars(runtime), "attention_backend", backend)
        runtime.choose_attention(pipe)

    # Sana's attention is linear and FLUX's rotary.
    assert asked == ([] if family in ("sana", "flux") else [family])


def test_a_pipeline_that_pads_to_the_longest_prompt_draws_rows_one_by_one() -> None:
    class CogView4Pipeline:
        pass

    class StableDiffusion3Pipeline:
        pass

    rows = list(batch([1, 2], PROMPTS))
    apart, together = (
        Sampler._groups(SimpleNamespace(pipe=pipe(), negative=lambda row: ""), rows)  # type: ignore[arg-type]
        for pipe in (CogView4Pipeline, StableDiffusion3Pipeline)
    )

    assert (apart, together) == ([[0], [1]], [[0, 1]])
