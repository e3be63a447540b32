"""Pictures as an autoencoder gives them back, for the FID of reconstructions."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from imgtool.api import ModelUnusable, derive_seed
from imgtool_score.sets.swapping import NONE, Swap, swapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from imgtool.api import Runtime
    from imgtool_score.sets.pictures import Picture

CONTINUOUS, DISCRETE = "AutoencoderKL", "VQModel"


@dataclass(frozen=True)
class Autoencoder:
    """A net of diffusers that gives pictures back, the same ones for the same pictures.

    Of an AutoencoderKL the mode of the posterior is decoded; of a VQModel the nearest codes.
    """

    net: Any
    device: Any
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    @property
    def codes(self) -> int:
        """Size of the codebook; 0: there is none."""
        return int(getattr(self.net.config, "num_vq_embeddings", 0))

    def __call__(self, image: np.ndarray, swap: Swap = NONE, seed: int = 0) -> np.ndarray:
        """[H, W, 3] uint8 of the same, rounded as a picture file would hold it.

        Parameters
        ----------
        swap, seed : what happens to its codes, where it has a codebook, and what draws them.
        """
        import torch
        from torch.nn import functional as F

        height, width = image.shape[:2]
        x = torch.from_numpy(image.copy()).to(self.device).permute(2, 0, 1)[None].float()
        # Edges are repeated up to what the net can halve, and cut off again.
        factor = 2 ** (len(self.net.config.block_out_channels) - 1)
        x = F.pad(x / 127.5 - 1, (0, -width % factor, 0, -height % factor), mode="replicate")
        # Pictures are read by several threads, whose activations would add up.
        with self._one_at_a_time, torch.inference_mode():
            y = self._through_codes(x, swap, seed) if self.codes else self._through(x)
        y = ((y[0, :, :height, :width] + 1) * 127.5).round().clamp(0, 255)
        found: np.ndarray = y.to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return found

    def _through(self, x: Tensor) -> Tensor:
        y: Tensor = self.net.decode(self.net.encode(x).latent_dist.mode()).sample
        return y

    def _through_codes(self, x: Tensor, swap: Swap, seed: int) -> Tensor:
        import torch

        net, book = self.net, self.net.quantize.embedding.weight
        z = net.encode(x).latents.permute(0, 2, 3, 1)
        drawing = torch.Generator().manual_seed(seed)
        indices = swapped(z.reshape(-1, book.shape[1]), book, swap, drawing)
        codes = book[indices].view(z.shape).permute(0, 3, 1, 2).contiguous()
        given = codes if net.config.norm_type == "spatial" else None
        y: Tensor = net.decoder(net.post_quant_conv(codes), given)
        return y


def load_autoencoder(runtime: Runtime, ref: str) -> Autoencoder:
    """The autoencoder that `ref` names.

    Parameters
    ----------
    ref : an AutoencoderKL, a VQModel, or a pipeline of diffusers that has one.

    Raises
    ------
    ModelUnusable : it is none of these, or diffusers is not installed.
    """
    found = runtime.model(ref, "autoencoder").path
    folder = next((p for p in (found / "vae", found / "vqvae") if p.is_dir()), found)
    kind = _kind_of(folder)
    try:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
        from diffusers.models.autoencoders.vq_model import VQModel
    except ImportError:
        raise ModelUnusable(
            "reconstructions need diffusers, which is not installed", "pip install diffusers"
        ) from None
    loader = AutoencoderKL if kind == CONTINUOUS else VQModel
    net = loader.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    return Autoencoder(net.float().to(runtime.torch_device).eval(), runtime.torch_device)


def _kind_of(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config.get("_class_name")
    except (OSError, ValueError, AttributeError):
        kind = None
    if kind not in (CONTINUOUS, DISCRETE):
        raise ModelUnusable(
            f"{str(folder)!r} is no {CONTINUOUS} or {DISCRETE}, but {kind or 'something else'}",
            "Name a pipeline of diffusers or its vae folder; or give the reconstructions",
        )
    return str(kind)


def reconstructions(
    pictures: Iterable[Picture], autoencoder: Autoencoder, swap: Swap = NONE, seed: int = 0
) -> Iterator[Picture]:
    """The same pictures, each reconstructed when it is read; codes are drawn by name and `seed`."""
    for picture in pictures:
        drawn = derive_seed("pfid", seed, picture.name)
        yield replace(
            picture,
            read=lambda read=picture.read, drawn=drawn: autoencoder(read(), swap, drawn),  # type: ignore[misc]  # bound now
        )
