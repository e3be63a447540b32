"""Feature extractors of this plugin, by name: `clip` and `inception`.

An extractor is a component of kind `extractor`, of any plugin: a function of a runtime and a model
reference (empty for its own) that gives an object with

- `edge`: edge of the squares that it takes, pixels;
- `width`: numbers of a feature;
- `fingerprint`: depends on weights and settings;
- a call: [B, 3, edge, edge] float32, 0..1, to [B, width] float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from imgtool.api import ModelUnusable
from imgtool_score.record import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor

    from imgtool.api import Runtime

KIND = "extractor"
DEFAULT_CLIP = "tabletop/clip"
CONVERT = "Give --model FILE.safetensors; docs/how-to/measure-sets.md says how to make it"


class Extractor(Protocol):
    """What measures ask of an extractor."""

    @property
    def edge(self) -> int:
        """Edge of the squares that it takes, pixels."""

    @property
    def width(self) -> int:
        """Numbers of a feature."""

    @property
    def fingerprint(self) -> str:
        """Depends on weights and settings."""

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """[B, width] float32 of [B, 3, edge, edge] float32, 0..1."""


@dataclass(frozen=True)
class Net:
    """An extractor that computes with torch, in float32, on one device."""

    edge: int
    width: int
    fingerprint: str
    compute: Callable[[Tensor], Tensor]
    device: Any

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """[B, width] float32 of [B, 3, edge, edge] float32, 0..1."""
        import torch

        with torch.inference_mode():
            found = self.compute(torch.from_numpy(pixels).to(self.device))
        features: np.ndarray = found.float().cpu().numpy()
        return features


def clip(runtime: Runtime, model: str) -> Net:
    """The vision tower of a CLIP, projected, not scaled to unit length.

    Raises
    ------
    ModelUnusable : it is no CLIP.
    """
    import torch

    from imgtool_score.clip import load_encoder

    encoder = load_encoder(runtime, model or DEFAULT_CLIP)
    preprocess, net = encoder.preprocess, encoder.model
    mean, std = (
        torch.tensor(values, device=encoder.device)[:, None, None]
        for values in (preprocess.mean, preprocess.std)
    )

    def compute(pixels: Tensor) -> Tensor:
        pooled = net.vision_model(pixel_values=(pixels - mean) / std).pooler_output
        projected: Tensor = net.visual_projection(pooled)
        return projected

    mark = fingerprint("clip-features/1", encoder.digest, preprocess.mean, preprocess.std)
    return Net(preprocess.height, encoder.width, mark, compute, encoder.device)


def inception(runtime: Runtime, model: str) -> Net:
    """FID's Inception-v3, of weights that the user brings.

    Raises
    ------
    ModelUnusable : none are named, or they are those of another net.
    """
    from imgtool_score.compare import load_weights
    from imgtool_score.sets.inception import EDGE, WIDTH, features, folded

    if not model:
        raise ModelUnusable(
            "extractor 'inception' needs FID's weights, and none are named", CONVERT
        )
    found = runtime.model(model, "set-features")
    try:
        weights = folded(load_weights(found.path, runtime))
    except ValueError as err:
        raise ModelUnusable(f"{model!r} is no Inception-v3 of FID: {err}", CONVERT) from err

    def compute(pixels: Tensor) -> Tensor:
        return features((pixels * 255 - 128) / 128, weights)

    mark = fingerprint("inception-fid/1", found.digest)
    return Net(EDGE, WIDTH, mark, compute, runtime.torch_device)


def known_extractor(runtime: Runtime, name: str, model: str) -> Extractor:
    """The extractor that a plugin registered under `name`, loaded.

    Raises
    ------
    UnknownComponent, ModelUnusable : as the names say.
    """
    make: Any = runtime.component(KIND, name)
    extractor: Extractor = make(runtime, model)
    return extractor
