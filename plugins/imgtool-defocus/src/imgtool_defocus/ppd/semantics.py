"""Semantic prompts: what a frozen encoder makes of a picture, a vector for each token.

The paper takes the tokens of Depth Anything V2's encoder. `tabletop/depth`, a GLPN, has four levels
in its stead, which are brought to one grid.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any, Final, Protocol

import torch
from torch.nn.functional import interpolate

from imgtool.api import loading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

FOLDER: Final = "semantics"
FILES: Final = ("config.json", "preprocessor_config.json", "model.safetensors")
IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Prompts(Protocol):
    """Prompts of pictures."""

    @property
    def channels(self) -> int:
        """Of a prompt."""

    def __call__(self, pictures: Tensor, rows: int, columns: int) -> Tensor:
        """[B, rows·columns, channels] of [B, 3, H, W] in 0..1."""
        ...


class Dino:
    """The last tokens of Depth Anything's encoder, which sees a picture of its own grid."""

    def __init__(self, net: Any, folder: Path) -> None:
        self.net = net.backbone
        self.channels: int = self.net.config.hidden_size
        self.patch: int = self.net.config.patch_size

    @torch.no_grad()
    def __call__(self, pictures: Tensor, rows: int, columns: int) -> Tensor:
        """See `Prompts`."""
        size = (rows * self.patch, columns * self.patch)
        pixels = _standard(interpolate(pictures, size=size, mode="bicubic"), *IMAGENET)
        tokens: Tensor = self.net(pixels.to(self.net.dtype)).feature_maps[-1][:, 1:]
        return tokens


class Glpn:
    """The levels of a GLPN's encoder, fine to coarse, side by side on one grid."""

    def __init__(self, net: Any, folder: Path) -> None:
        self.net, self.dtype = net.glpn.encoder, net.dtype
        self.channels = sum(net.config.hidden_sizes)
        about = json.loads((folder / FILES[1]).read_text(encoding="utf-8"))
        self.size = (about["size"]["height"], about["size"]["width"])
        self.mean, self.std = about["image_mean"], about["image_std"]

    @torch.no_grad()
    def __call__(self, pictures: Tensor, rows: int, columns: int) -> Tensor:
        """See `Prompts`."""
        if tuple(pictures.shape[2:]) != self.size:
            pictures = interpolate(pictures, size=self.size, mode="bicubic", antialias=True)
        pixels = _standard(pictures, self.mean, self.std).to(self.dtype)
        levels = self.net(pixels, output_hidden_states=True).hidden_states
        grid = [interpolate(level, size=(rows, columns), mode="bilinear") for level in levels]
        return torch.cat(grid, dim=1).flatten(2).transpose(1, 2)


KNOWN: Final[dict[str, Callable[[Any, Path], Prompts]]] = {"depth_anything": Dino, "glpn": Glpn}


def _standard(pictures: Tensor, mean: Any, std: Any) -> Tensor:
    shift, scale = (pictures.new_tensor(values)[:, None, None] for values in (mean, std))
    return (pictures - shift) / scale


def load_prompts(folder: Path, device: torch.device, dtype: torch.dtype) -> Prompts:
    """The encoder in a folder that transformers saved.

    Raises
    ------
    ModelUnusable : the folder holds none that is known here.
    """
    with loading(folder, "transformers"):
        from transformers import AutoConfig, AutoModelForDepthEstimation

        local = {"local_files_only": True}
        kind = AutoConfig.from_pretrained(folder, **local, trust_remote_code=False).model_type
        if kind not in KNOWN:
            raise ValueError(f"a {kind} gives no prompts; {' and '.join(KNOWN)} do")
        net = AutoModelForDepthEstimation.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, **local
        )
        return KNOWN[kind](net.to(device).eval().requires_grad_(False), folder)


def fingerprint(folder: Path) -> str:
    """32 hex digits of an encoder's weights."""
    with (folder / FILES[-1]).open("rb") as file:
        total = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    return total.hexdigest()


def keep_encoder(source: Path, folder: Path) -> None:
    """Copy the encoder beside a model that was trained with it."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(source / name, folder / FOLDER / name)
