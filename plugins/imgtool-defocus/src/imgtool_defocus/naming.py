"""Where a thing is that is named: by a CLIPSeg, which draws it, or by any CLIP, which misses it.

A CLIP tells how well a picture and a text go together. Where hiding a part of the picture takes
most of that away, for its size, is what the text names: occlusion sensitivity (Zeiler & Fergus
2014). A CLIPSeg (Lüddecke & Ecker 2022) gives each pixel a logit, and knows when nothing is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import torch
from torch.nn.functional import interpolate

from imgtool.api import ModelUnusable, loading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from imgtool.api import Runtime

TASK: Final = "image-text-similarity"
SIDES: Final = (0.25, 0.4)
"""Sides of what is hidden, as shares of the picture as the model sees it."""
STEPS: Final = 3
"""Places of a hidden square on its own side."""
SHARE: Final = 0.03
"""Of the picture: how much of where a thing is missed most is the thing."""


class Finder(Protocol):
    """Finds what is named."""

    def __call__(self, code: Tensor, text: str, runtime: Runtime) -> Tensor:
        """[H, W], boolean: where it is in a picture, [3, H, W], sRGB, 0..1.

        Raises
        ------
        ValueError : it is not there.
        """
        ...


def load(folder: Path, device: torch.device) -> Finder:
    """The finder in a folder that transformers saved.

    Raises
    ------
    ModelUnusable : there is neither a CLIP nor a CLIPSeg.
    """
    with loading(folder, "transformers"):
        from transformers import (
            AutoConfig,
            AutoImageProcessor,
            AutoTokenizer,
            CLIPModel,
            CLIPSegForImageSegmentation,
        )

        known: dict[str, tuple[Any, type[Clip | ClipSeg]]] = {
            "clip": (CLIPModel, Clip),
            "clipseg": (CLIPSegForImageSegmentation, ClipSeg),
        }
        local: dict[str, Any] = {"local_files_only": True}
        kind = AutoConfig.from_pretrained(folder, **local, trust_remote_code=False).model_type
        if kind not in known:
            raise ModelUnusable(
                f"a {kind} finds nothing by name here", f"Known: {', '.join(known)}"
            )
        net, finder = known[kind]
        loaded = net.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, **local)
        processor = AutoImageProcessor.from_pretrained(folder, **local, backend="pil")
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        return finder(Eyes(loaded.to(device).eval(), processor, tokenizer))


@dataclass(frozen=True)
class Eyes:
    """A net, and how it takes pictures and texts."""

    net: Any
    processor: Any
    tokenizer: Any

    def resized(self, code: Tensor) -> Tensor:
        """[3, S, S], 0..1: all of the picture as large as the net sees it."""
        size = self.processor.crop_size or self.processor.size
        sides = int(size["height"]), int(size["width"])
        seen = interpolate(code[None], sides, mode="bicubic", antialias=True)
        return seen[0].clamp(0.0, 1.0)

    def normalised(self, seen: Tensor) -> Tensor:
        """[B, 3, S, S] as the net was trained."""
        mean, std = (
            seen.new_tensor(values)[:, None, None]
            for values in (self.processor.image_mean, self.processor.image_std)
        )
        return (seen - mean) / std

    def tokens(self, text: str) -> Any:
        """A batch of one."""
        cut = self.tokenizer(text, truncation=True, return_tensors="pt")
        return cut.to(self.net.device)


@dataclass(frozen=True)
class ClipSeg:
    """Where the mask of the text has even odds or better."""

    eyes: Eyes

    def __call__(self, code: Tensor, text: str, runtime: Runtime) -> Tensor:
        """See `Finder`."""
        pixels = self.eyes.normalised(self.eyes.resized(code)[None])
        logits = self.eyes.net(pixel_values=pixels, **self.eyes.tokens(text)).logits
        there = _stretched(logits.reshape(pixels.shape[-2:]), code) > 0
        if not there.any():
            raise ValueError(f"there is no {text!r} in the picture")
        return there


@dataclass(frozen=True)
class Clip:
    """Where hiding takes most away. Something is always missed most: it never finds nothing."""

    eyes: Eyes

    def __call__(self, code: Tensor, text: str, runtime: Runtime) -> Tensor:
        """See `Finder`."""
        net = self.eyes.net
        pooled = net.text_model(**self.eyes.tokens(text)).pooler_output
        named = torch.nn.functional.normalize(net.text_projection(pooled), dim=-1)[0]

        def similarity(seen: Tensor) -> Tensor:
            pooled = net.vision_model(pixel_values=self.eyes.normalised(seen)).pooler_output
            return torch.nn.functional.normalize(net.visual_projection(pooled), dim=-1) @ named

        missed = _stretched(missing(similarity, self.eyes.resized(code), runtime), code)
        return missed >= missed.flatten().kthvalue(_rank(missed.numel())).values


def missing(similarity: Callable[[Tensor], Tensor], seen: Tensor, runtime: Runtime) -> Tensor:
    """[S, S]: how much similarity hiding each pixel takes away, averaged over hidden squares.

    Parameters
    ----------
    similarity : [B] of pictures [B, 3, S, S]. seen : [3, S, S], 0..1; squares of it are hidden
        behind its mean colour, and what that takes away counts by the length of their sides.
    """
    squares = _squares(seen.shape[-1])
    mean = seen.mean((1, 2))[:, None, None]

    def without(part: Sequence[tuple[slice, slice]]) -> list[float]:
        pictures = seen.repeat(len(part), 1, 1, 1)
        for picture, (rows, columns) in zip(pictures, part, strict=True):
            picture[:, rows, columns] = mean
        left: list[float] = similarity(pictures).tolist()
        return left

    whole = float(similarity(seen[None])[0])
    total, count = torch.zeros_like(seen[0]), torch.zeros_like(seen[0])
    for square, left in zip(squares, runtime.halving(without, squares), strict=True):
        total[square] += (whole - left) / (square[0].stop - square[0].start)
        count[square] += 1.0
    return total / count


def _squares(size: int) -> list[tuple[slice, slice]]:
    """Rows and columns of squares that cover a picture of `size` pixels."""
    found = []
    for share in SIDES:
        side = round(share * size)
        starts = sorted({*range(0, size - side, max(1, side // STEPS)), size - side})
        lines = [slice(start, start + side) for start in starts]
        found += [(rows, columns) for rows in lines for columns in lines]
    return found


def _rank(count: int) -> int:
    """The place, from the least, from which on `SHARE` of `count` numbers lie."""
    return min(count, round((1.0 - SHARE) * count) + 1)


def _stretched(plane: Tensor, code: Tensor) -> Tensor:
    """`plane` over a picture [3, H, W]."""
    size = code.shape[-2:]
    return interpolate(plane[None, None], size, mode="bilinear", align_corners=False)[0, 0]
