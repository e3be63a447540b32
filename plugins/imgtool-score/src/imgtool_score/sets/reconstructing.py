"""Pictures as an autoencoder gives them back, for the FID of reconstructions."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imgtool.api import ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np

    from imgtool.api import Runtime
    from imgtool_score.sets.pictures import Picture

KIND = "AutoencoderKL"


def load_autoencoder(runtime: Runtime, ref: str) -> Callable[[np.ndarray], np.ndarray]:
    """A function of [H, W, 3] uint8 pictures that gives their reconstructions.

    The mode of the posterior is decoded, so that nothing is left to chance, and rounded to 8 bits,
    as a picture file would hold it.

    Parameters
    ----------
    ref : an AutoencoderKL, or a pipeline of diffusers that has one as its `vae`.

    Raises
    ------
    ModelUnusable : it is neither, or diffusers is not installed.
    """
    found = runtime.model(ref, "autoencoder")
    folder = found.path / "vae" if (found.path / "vae").is_dir() else found.path
    _require_kind(folder)
    try:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    except ImportError:
        raise ModelUnusable(
            "rfid --vae needs diffusers, which is not installed", "pip install diffusers"
        ) from None
    device = runtime.torch_device
    vae = AutoencoderKL.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    vae = vae.float().to(device).eval()
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    one_at_a_time = threading.Lock()

    def reconstructed(image: np.ndarray) -> np.ndarray:
        # Pictures are read by several threads, whose activations would add up.
        with one_at_a_time:
            return _reconstructed(image, vae, factor, device)

    return reconstructed


def _require_kind(folder: Path) -> None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config.get("_class_name")
    except (OSError, ValueError, AttributeError):
        kind = None
    if kind != KIND:
        raise ModelUnusable(
            f"{str(folder)!r} is no {KIND}, but {kind or 'something else'}",
            "Name a pipeline of diffusers or its vae folder; or give the reconstructions",
        )


def _reconstructed(image: np.ndarray, vae: Any, factor: int, device: Any) -> np.ndarray:
    import torch
    from torch.nn import functional as F

    height, width = image.shape[:2]
    x = torch.from_numpy(image.copy()).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
    # Edges are repeated up to what the net can halve, and cut off again.
    x = F.pad(x, (0, -width % factor, 0, -height % factor), mode="replicate")
    with torch.inference_mode():
        y = vae.decode(vae.encode(x).latent_dist.mode()).sample
    y = ((y[0, :, :height, :width] + 1) * 127.5).round().clamp(0, 255)
    found: np.ndarray = y.to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return found


def reconstructions(
    pictures: Iterable[Picture], autoencoder: Callable[[np.ndarray], np.ndarray]
) -> Iterator[Picture]:
    """The same pictures, each reconstructed when it is read."""
    for picture in pictures:
        yield replace(picture, read=lambda read=picture.read: autoencoder(read()))  # type: ignore[misc]  # bound now
