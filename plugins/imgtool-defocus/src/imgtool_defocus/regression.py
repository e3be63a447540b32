"""Depth by one pass through a net of transformers: backend `transformers`.

Depth Anything (Yang et al. 2024), DPT (Ranftl et al. 2021), ZoeDepth (Bhat et al. 2023), Depth Pro
(Bochkovskii et al. 2024) and GLPN (Kim et al. 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import interpolate

from imgtool.api import BadParams, ModelUnusable, loading
from imgtool_defocus.depth import DISPARITY, METRIC
from imgtool_defocus.estimate import Estimate, Options

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from torch import Tensor

KNOWN = ("depth_anything", "dpt", "zoedepth", "depth_pro", "glpn")
SIZED = ("depth_anything", "dpt", "zoedepth")
"""Types that take pictures of other sizes than their own."""
LEAST_INVERSE, MOST_INVERSE = 1e-4, 1e4
"""Depth Pro's limits of inverse depth, 1/m."""
HALF_TURN = 180.0


def kind_of_model(config: Any) -> str:
    """What the numbers of a model mean, by its configuration.

    Raises
    ------
    ModelUnusable : that cannot be known here.
    """
    if config.model_type not in KNOWN:
        raise ModelUnusable(
            f"what a {config.model_type} estimates is not known here",
            f"Known: {', '.join(KNOWN)} and Marigold",
        )
    if config.model_type == "dpt":
        return DISPARITY
    if config.model_type == "depth_anything":
        return METRIC if config.depth_estimation_type == METRIC else DISPARITY
    # Without its own field of view, Depth Pro's inverse depth lacks a factor.
    return DISPARITY if config.model_type == "depth_pro" and not config.use_fov_model else METRIC


def load(folder: Path, options: Options, device: torch.device, dtype: torch.dtype) -> Regression:
    """The model in a folder that transformers saved.

    Raises
    ------
    ModelUnusable : there is none, or what it estimates is not known.
    BadParams : it takes no size or has no steps.
    """
    with loading(folder, "transformers"):
        from transformers import AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation

        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        kind = kind_of_model(config)
        _check(options, config)
        net = AutoModelForDepthEstimation.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        )
        if config.model_type == "depth_pro":
            return DepthPro(net.to(device).eval(), kind)
        # Results must not depend on whether torchvision is installed.
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    return Regression(net.to(device).eval(), kind, processor, options.size)


def _check(options: Options, config: Any) -> None:
    if options.steps or options.ensemble > 1:
        raise BadParams(
            f"a {config.model_type} estimates depth in one pass", "Leave --steps and --ensemble out"
        )
    if options.size and config.model_type not in SIZED:
        raise BadParams(f"a {config.model_type} looks at its own size", "Leave --size out")


@dataclass
class Regression:
    """A net and how pictures are made ready for it."""

    net: Any
    kind: str
    processor: Any = None
    size: int = 0

    @property
    def name(self) -> str:
        """The class of the net."""
        return type(self.net).__name__

    def __call__(self, image: np.ndarray, generator: torch.Generator) -> Estimate:
        """Depth; nothing is random."""
        size = {"size": {"height": self.size, "width": self.size}} if self.size else {}
        pixels = self.processor(images=image, return_tensors="pt", **size).pixel_values
        seen = self._seen(pixels)
        padded = self.net.config.model_type == "zoedepth" and self.processor.do_pad
        height, width = image.shape[:2]
        margin = (_padding(height), _padding(width)) if padded else (0.0, 0.0)
        return Estimate(seen.predicted_depth[0].float(), margin)

    def _seen(self, pixels: Tensor) -> Any:
        with torch.inference_mode():
            return self.net(pixels.to(self.net.device, self.net.dtype))


class DepthPro(Regression):
    """Depth Pro, which also tells the field of view.

    Its processor needs torchvision, so its two steps are here.
    """

    def __call__(self, image: np.ndarray, generator: torch.Generator) -> Estimate:
        """Metres, if the model tells the field of view, and the focal length in pixels."""
        edge = self._edge()
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1.0
        seen = self._seen(interpolate(pixels, size=(edge, edge), mode="bilinear"))
        inverse = seen.predicted_depth[0].float()
        if self.kind == DISPARITY:
            return Estimate(inverse)
        degrees = float(seen.field_of_view[0])
        if not 0.0 < degrees < HALF_TURN:
            raise ValueError(f"the model sees a field of view of {degrees:.0f}°, which no lens has")
        tangent = math.tan(math.radians(degrees) / 2.0)
        metres = 1.0 / (inverse * 2.0 * tangent).clamp(LEAST_INVERSE, MOST_INVERSE)
        return Estimate(metres, facts={"focal_px": 0.5 * image.shape[1] / tangent})

    def _edge(self) -> int:
        """Side of the square at which the largest scale is cut into whole patches."""
        config = self.net.config
        return round(config.patch_size / min(config.scaled_images_ratios))


def _padding(side: int) -> float:
    """Share of ZoeDepth's padding at either end of a side of the padded picture."""
    pad = int(math.sqrt(side / 2.0) * 3)
    return pad / (side + 2 * pad)
