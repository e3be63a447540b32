"""Pictures as an encoder wants them: resized, cropped, scaled and normalised as its folder says.

PIL resizes, as it did when these encoders were trained; resizing tensors shifts scores.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from torch import Tensor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
BILINEAR, BICUBIC = 2, 3
STRIP = 16
"""Length of the longest picture that is resized whole, in shorter sides."""


@dataclass(frozen=True)
class Preprocess:
    """From [H, W, 3] uint8 to [3, height, width] float32.

    Attributes
    ----------
    height, width : of the result, pixels.
    shortest : edge to which the shorter side is resized before the centre is cut out; 0: the
        picture is resized to height and width whatever its shape.
    resample : PIL's number of the filter.
    mean, std : of each channel, for values 0..1.
    """

    height: int
    width: int
    shortest: int
    resample: int = BICUBIC
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD

    @classmethod
    def of_size(cls, edge: int) -> Preprocess:
        """What CLIP does to get a square of `edge` pixels."""
        return cls(edge, edge, edge)

    @classmethod
    def read(cls, folder: Path, edge: int) -> Preprocess:
        """As a folder of transformers or of OpenCLIP says; as CLIP does where it does not."""
        file = folder / "preprocessor_config.json"
        if not file.is_file():
            return cls._of_openclip(folder / "open_clip_config.json", edge)
        config: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        size, crop = config.get("size", edge), config.get("crop_size", edge)
        shortest = size.get("shortest_edge", 0) if isinstance(size, dict) else int(size)
        final = crop if config.get("do_center_crop", True) else size
        height, width = _height_width(final, edge)
        return cls(
            height,
            width,
            shortest,
            int(config.get("resample", BICUBIC)),
            tuple(config.get("image_mean", CLIP_MEAN)),
            tuple(config.get("image_std", CLIP_STD)),
        )

    @classmethod
    def _of_openclip(cls, file: Path, edge: int) -> Preprocess:
        told: Mapping[str, Any] = {}
        if file.is_file():
            told = json.loads(file.read_text(encoding="utf-8")).get("preprocess_cfg", {})
        return cls(
            edge,
            edge,
            0 if told.get("resize_mode") == "squash" else edge,
            BILINEAR if told.get("interpolation") == "bilinear" else BICUBIC,
            tuple(told.get("mean", CLIP_MEAN)),
            tuple(told.get("std", CLIP_STD)),
        )

    def __call__(self, images: Sequence[np.ndarray]) -> Tensor:
        """[B, 3, height, width] float32."""
        import torch

        return torch.stack([self._one(image) for image in images])

    def _one(self, image: np.ndarray) -> Tensor:
        import numpy as np
        import torch
        from PIL import Image

        picture = Image.fromarray(self._within_strip(image))
        size = self._resized(picture.width, picture.height)
        picture = picture.resize(size, Image.Resampling(self.resample))
        left, top = (size[0] - self.width) // 2, (size[1] - self.height) // 2
        picture = picture.crop((left, top, left + self.width, top + self.height))
        values = np.asarray(picture, dtype=np.float32) / 255.0
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return torch.from_numpy((values - mean) / std).permute(2, 0, 1)

    def of_tensors(self, pictures: Tensor) -> Tensor:
        """[B, 3, height, width] of [B, 3, H, W] from 0 to 1, with a gradient.

        Antialiased, so that it comes as near as tensors can to what PIL makes.
        """
        import torch
        from torch.nn import functional as F

        width, height = self._resized(pictures.shape[3], pictures.shape[2])
        mode = "bicubic" if self.resample == BICUBIC else "bilinear"
        if pictures.shape[2:] != (height, width):
            pictures = F.interpolate(pictures, (height, width), mode=mode, antialias=True)
        left, top = (width - self.width) // 2, (height - self.height) // 2
        cut = pictures[:, :, top : top + self.height, left : left + self.width]
        mean, std = (
            torch.tensor(values, dtype=cut.dtype, device=cut.device).view(3, 1, 1)
            for values in (self.mean, self.std)
        )
        return (cut - mean) / std

    def _within_strip(self, image: np.ndarray) -> np.ndarray:
        """Without ends that would be resized at any expense of memory, and cut off then."""
        if not self.shortest:
            return image
        most = STRIP * min(image.shape[:2])
        top, left = (max(0, side - most) // 2 for side in image.shape[:2])
        return image[top : top + most, left : left + most]

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if not self.shortest:
            return self.width, self.height
        # The longer side is cut, not rounded, as in the processors these models came with.
        if width <= height:
            return self.shortest, self.shortest * height // width
        return self.shortest * width // height, self.shortest


def _height_width(size: Any, edge: int) -> tuple[int, int]:
    """Of a size given as a number, as the shorter edge, or as both edges."""
    if isinstance(size, dict):
        short: Any = size.get("shortest_edge", edge)
        return int(size.get("height", short)), int(size.get("width", short))
    return (size, size) if isinstance(size, int) else (edge, edge)
