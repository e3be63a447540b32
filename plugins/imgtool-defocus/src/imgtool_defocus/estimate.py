"""The seam between `depth.auto` and what estimates depth.

A depth backend is a component of kind `depth-backend`: a function `load(folder, options, device,
dtype)` that reads the weights in a folder and returns a `DepthModel`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from imgtool.api import ModelUnusable
from imgtool_defocus.ppd.config import ARCHITECTURE, CONFIG

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import torch
    from torch import Tensor

COMPONENT = "depth-backend"
TRANSFORMERS, MARIGOLD, PPD = "transformers", "marigold", "ppd"


@dataclass(frozen=True)
class Options:
    """What a user may set of any backend; 0 is the model's own.

    Attributes
    ----------
    size : longer side at which the model looks, pixels.
    steps : denoising steps.
    ensemble : estimates that are made one of.
    """

    size: int = 0
    steps: int = 0
    ensemble: int = 1


@dataclass(frozen=True)
class Estimate:
    """Depth as a model gives it, on a grid of its own.

    Attributes
    ----------
    values : [h, w] float32.
    margin : shares of the grid, above and below, left and right, that lie outside the picture.
    facts : what else was found, such as `focal_px`.
    """

    values: Tensor
    margin: tuple[float, float] = (0.0, 0.0)
    facts: Mapping[str, object] = field(default_factory=dict)


class DepthModel(Protocol):
    """Estimates depth from pictures."""

    @property
    def kind(self) -> str:
        """What its numbers mean: one of `imgtool_defocus.depth.KINDS`."""

    @property
    def name(self) -> str:
        """The class that computes."""

    def __call__(self, image: np.ndarray, generator: torch.Generator) -> Estimate:
        """Depth of a picture [H, W, 3] uint8; all randomness comes from `generator`.

        Raises
        ------
        ValueError : this picture cannot be done.
        """
        ...


class Load(Protocol):
    """A depth backend."""

    def __call__(
        self, folder: Path, options: Options, device: torch.device, dtype: torch.dtype
    ) -> DepthModel:
        """The model in `folder`.

        Raises
        ------
        ModelUnusable : it holds none that this backend knows.
        BadParams : the model does not take one of `options`.
        """
        ...


def backend_of(folder: Path) -> str:
    """The backend for the files in `folder`: Marigold is a pipeline of diffusers.

    Pixel-Perfect Depth names itself in `config.json`.

    Raises
    ------
    ModelUnusable : no backend of this plugin reads such files.
    """
    if (folder / "model_index.json").is_file():
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        name = str(index.get("_class_name", ""))
        if name == "MarigoldDepthPipeline":
            return MARIGOLD
        raise ModelUnusable(f"{str(folder)!r} is a {name or 'pipeline'}, which estimates no depth")
    if (folder / CONFIG).is_file():
        about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return PPD if about.get("architecture") == ARCHITECTURE else TRANSFORMERS
    raise ModelUnusable(
        f"{str(folder)!r} is no folder of transformers or diffusers", "Name its --backend"
    )
