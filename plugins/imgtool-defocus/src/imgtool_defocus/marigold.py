"""Depth by denoising it: diffusers' Marigold (Ke et al. 2024), backend `marigold`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from imgtool.api import BadParams, ModelUnusable, loading
from imgtool_defocus.depth import DISPARITY, RELATIVE
from imgtool_defocus.estimate import Estimate, Options

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch

KINDS = {"depth": RELATIVE, "disparity": DISPARITY}
STEPS, SIZE = 4, 768
"""For checkpoints that do not say."""


def load(folder: Path, options: Options, device: torch.device, dtype: torch.dtype) -> Marigold:
    """The pipeline in a folder that diffusers saved.

    Raises
    ------
    ModelUnusable : it cannot be loaded, or predicts something else.
    BadParams : the size does not fit its cells, or an ensemble without scipy.
    """
    if options.ensemble > 1 and find_spec("scipy") is None:
        raise BadParams("an ensemble is aligned by scipy, which is not here", "pip install scipy")
    with loading(folder, "transformers", "diffusers"):
        from diffusers.pipelines.marigold.pipeline_marigold_depth import MarigoldDepthPipeline

        pipe = MarigoldDepthPipeline.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        )
    predicted = pipe.config.prediction_type
    if predicted not in KINDS:
        raise ModelUnusable(f"{str(folder)!r} predicts {predicted!r}, not depth or disparity")
    if options.size % pipe.vae_scale_factor:
        raise BadParams(f"--size {options.size} is no multiple of {pipe.vae_scale_factor}")
    pipe.set_progress_bar_config(disable=True)
    return Marigold(pipe.to(device), KINDS[predicted], options)


@dataclass
class Marigold:
    """The pipeline and what a user set of it."""

    pipe: Any
    kind: str
    options: Options

    @property
    def name(self) -> str:
        """The class of the pipeline."""
        return type(self.pipe).__name__

    def __call__(self, image: np.ndarray, generator: torch.Generator) -> Estimate:
        """Depth or disparity, up to scale and shift."""
        from PIL import Image

        steps = self.options.steps or self.pipe.default_denoising_steps or STEPS
        seen = self.pipe(
            Image.fromarray(image),
            num_inference_steps=steps,
            ensemble_size=self.options.ensemble,
            processing_resolution=self.options.size
            or self.pipe.default_processing_resolution
            or SIZE,
            match_input_resolution=False,
            generator=generator,
            output_type="pt",
        )
        facts = {"steps": steps, "ensemble": self.options.ensemble}
        return Estimate(seen.prediction[0, 0].float(), facts=facts)
