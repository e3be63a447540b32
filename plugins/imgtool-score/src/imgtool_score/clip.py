"""CLIP's two towers as scorers need them: pictures and texts to unit vectors of one space."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imgtool.api import ModelUnusable, loading
from imgtool_score.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from imgtool.api import Runtime

log = logging.getLogger("imgtool.score")
TASK = "image-text-similarity"
# Tokenizers without a limit say so with a number of this kind.
UNLIMITED = 1_000_000
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model")


@dataclass
class Encoder:
    """Both towers, loaded. Vectors are float32 and of unit length.

    Attributes
    ----------
    limit : tokens of text that are read, marks included.
    digest : of the weights.
    """

    model: Any
    tokenizer: Any
    preprocess: Preprocess
    limit: int
    digest: str
    device: Any
    _seen: tuple[tuple[np.ndarray, ...], Tensor] | None = field(default=None, repr=False)

    @property
    def width(self) -> int:
        """Length of the vectors."""
        return int(self.model.config.projection_dim)

    @property
    def logit_scale(self) -> float:
        """Factor by which the model was trained to multiply cosines."""
        return float(self.model.logit_scale.detach().cpu().double().exp())

    def images(self, images: Sequence[np.ndarray]) -> Tensor:
        """[B, width] of [H, W, 3] uint8 pictures. Those asked for last are remembered."""
        import torch

        seen = self._seen
        if seen is not None and _same(seen[0], images):
            return seen[1]
        pixels = self.preprocess(images).to(self.device, self.model.dtype)
        with torch.inference_mode():
            pooled = self.model.vision_model(pixel_values=pixels).pooler_output
            vectors = unit(self.model.visual_projection(pooled))
        self._seen = (tuple(images), vectors)
        return vectors

    def tensors(self, pictures: Tensor) -> Tensor:
        """[B, width] of [B, 3, H, W] from 0 to 1, with a gradient, for plugins that follow it."""
        import torch

        pixels = self.preprocess.of_tensors(pictures).to(self.device, self.model.dtype)
        pooled = self.model.vision_model(pixel_values=pixels).pooler_output
        return torch.nn.functional.normalize(self.model.visual_projection(pooled), dim=-1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """[N, width]. A long text is cut at `limit` with its end mark kept."""
        import torch

        distinct = list(dict.fromkeys(texts))
        every = self.tokenizer(distinct, truncation=True, max_length=self.limit).input_ids
        # Texts of one length go together: nothing is padded, so neighbours change nothing.
        groups: dict[int, list[int]] = {}
        for index, ids in enumerate(every):
            groups.setdefault(len(ids), []).append(index)
        vectors: dict[str, Tensor] = {}
        with torch.inference_mode():
            for members in groups.values():
                ids = torch.tensor([every[index] for index in members], device=self.device)
                pooled = self.model.text_model(input_ids=ids).pooler_output
                found = unit(self.model.text_projection(pooled))
                vectors |= {distinct[index]: row for index, row in zip(members, found, strict=True)}
        return torch.stack([vectors[text] for text in texts])

    def tokens(self, text: str) -> int:
        """How many tokens a text has, marks included, before it is cut."""
        if len(text.encode()) + 2 <= self.limit:  # a token is at least one byte
            return 0
        return len(self.tokenizer(text, truncation=False, verbose=False).input_ids)


def unit(vectors: Tensor) -> Tensor:
    """[N, D] scaled to length 1 in float32; a zero vector stays zero."""
    vectors = vectors.float()
    length = vectors.norm(dim=-1, keepdim=True)
    return vectors / length.where(length > 0, 1.0)


def cosines(images: Tensor, texts: Tensor) -> list[float]:
    """Cosine of each picture with the text of its own row, in float64; both [B, D], unit."""
    products = images.cpu().double() * texts.cpu().double()
    return products.sum(-1).clamp(-1, 1).tolist()  # type: ignore[no-any-return]


def load_encoder(runtime: Runtime, ref: str, tokenizer_ref: str = "") -> Encoder:
    """The encoder that `ref` names, shared with every stage that uses it.

    Parameters
    ----------
    ref : a CLIPModel folder, an OpenCLIP folder or file, an alias or a hub id.
    tokenizer_ref : folder with the tokenizer where the model brings none.

    Raises
    ------
    ModelUnusable : it cannot be loaded, is no CLIP, or has no tokenizer.
    """
    model = runtime.model(ref, TASK)
    key = ("clip", model.digest, tokenizer_ref, str(runtime.torch_device), str(runtime.torch_dtype))

    def load() -> Encoder:
        with loading(ref, "transformers"):
            if model.kind == "single-file" or (model.path / "open_clip_config.json").is_file():
                from imgtool_score.openclip import load_openclip

                net, folder = load_openclip(model.path, runtime.torch_dtype)
            else:
                net, folder = _clip_folder(model.path, runtime.torch_dtype), model.path
            source = folder_of(runtime, tokenizer_ref) if tokenizer_ref else folder
            tokenizer = load_tokenizer(source, ref)
        limit = min(
            int(net.config.text_config.max_position_embeddings),
            int(min(tokenizer.model_max_length or UNLIMITED, UNLIMITED)),
        )
        preprocess = Preprocess.read(folder, int(net.config.vision_config.image_size))
        net = net.to(runtime.torch_device).eval()
        digest = model.digest if not tokenizer_ref else f"{model.digest}+{digest_of(source)}"
        return Encoder(net, tokenizer, preprocess, limit, digest, runtime.torch_device)

    return runtime.load_once(key, load)


def folder_of(runtime: Runtime, ref: str) -> Path:
    """The folder of a tokenizer: a plain one, or that of a model."""
    from pathlib import Path

    path = Path(ref).expanduser()
    return path if path.is_dir() else runtime.model(ref, "tokenizer").path


def digest_of(folder: Path) -> str:
    """16 hex digits of the tokenizer's files."""
    import hashlib

    total = hashlib.blake2b(digest_size=8)
    for name in TOKENIZER_FILES:
        if (folder / name).is_file():
            total.update((folder / name).read_bytes())
    return total.hexdigest()


def load_tokenizer(folder: Path, what: str) -> Any:
    """The tokenizer in `folder`.

    Raises
    ------
    ModelUnusable : there is none.
    """
    from transformers import AutoTokenizer

    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelUnusable(
            f"{what!r} comes without a tokenizer",
            "Put its tokenizer beside it, or name one where --tokenizer is an option",
        )
    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _clip_folder(folder: Path, dtype: Any) -> Any:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = config.get("model_type")
    if kind != "clip":
        raise ModelUnusable(
            f"{str(folder)!r} is a model of type {kind!r}, not 'clip'",
            "Name a CLIPModel folder, an OpenCLIP folder or file, or tabletop/clip",
        )
    from transformers.models.clip.modeling_clip import CLIPModel

    return CLIPModel.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True
    )


def _same(one: Sequence[object], two: Sequence[object]) -> bool:
    return len(one) == len(two) and all(a is b for a, b in zip(one, two, strict=True))
