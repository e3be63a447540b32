"""Stacks of linear layers without activations, folded into one affine map.

The aesthetic predictor V2 (Schuhmann 2022) and ImageReward's head (Xu et al. 2023) are such stacks:
768 → 1024 → 128 → 64 → 16 → 1 with dropout between, which does nothing when scoring. State-dict
indices are 0, 2, 4, 6, 7.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import TYPE_CHECKING

from imgtool.api import ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from imgtool.api import Runtime

INDICES = (0, 2, 4, 6, 7)


def layers(state: Mapping[str, Tensor], prefix: str = "layers.") -> list[tuple[Tensor, Tensor]]:
    """(weight [out, in], bias [out]) of each layer, in order, float64.

    Raises
    ------
    ValueError : the layers are not those of these heads, or do not fit one another.
    """
    found = sorted(
        int(name.removeprefix(prefix).partition(".")[0])
        for name in state
        if name.startswith(prefix) and name.endswith(".weight")
    )
    # The variant with ReLU between has other indices; read as linear it gives other numbers.
    if tuple(found) != INDICES:
        raise ValueError(f"layers {found}, not {list(INDICES)} as in the linear head")
    stack = [
        (state[f"{prefix}{i}.weight"].double(), state[f"{prefix}{i}.bias"].double())
        for i in INDICES
    ]
    for (above, _), (below, _) in itertools.pairwise(stack):
        if above.shape[0] != below.shape[1]:
            raise ValueError(
                f"a layer gives {above.shape[0]} numbers, the next takes {below.shape[1]}"
            )
    if stack[-1][0].shape[0] != 1:
        raise ValueError(f"the last layer gives {stack[-1][0].shape[0]} numbers, not one")
    return stack


def fold(stack: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, float]:
    """w [D] and b with b + w·x equal to the stack applied to x; float64."""
    weight, bias = stack[0]
    for next_weight, next_bias in stack[1:]:
        weight, bias = next_weight @ weight, next_weight @ bias + next_bias
    return weight[0], float(bias[0])


def load_head(runtime: Runtime, ref: str) -> tuple[Tensor, float, str]:
    """w [D] and b of the aesthetic head that `ref` names, float64, and its digest.

    Raises
    ------
    ModelUnusable : there is no such head, or it has another layout.
    """
    from safetensors.torch import load_file

    head = runtime.model(ref, "aesthetic-head")
    file = weights_in(head.path)
    if not file.is_file():
        raise ModelUnusable(f"{str(head.path)!r} holds no model.safetensors")
    try:
        weight, bias = fold(layers(load_file(file)))
    except (ValueError, KeyError) as err:
        raise ModelUnusable(f"{str(file)!r} is no aesthetic head: {err}") from err
    return weight, bias, head.digest


def check_origin(runtime: Runtime, ref: str, clip_ref: str) -> None:
    """Compare a CLIP with the one that a head was trained over.

    Heads that are one file, or whose `config.json` tells no SHA-256 of weights, pass unchecked.

    Raises
    ------
    ModelUnusable : it is another CLIP, of which the head's numbers would mean nothing.
    """
    head = runtime.model(ref, "aesthetic-head")
    config = head.path / "config.json"
    told = json.loads(config.read_text(encoding="utf-8")).get("clip") if config.is_file() else None
    if told is None:
        return
    if weights_digest(runtime.model(clip_ref, "image-text-similarity").path) != told:
        raise ModelUnusable(
            f"the head {ref!r} was trained over another CLIP than {clip_ref!r}",
            f"Its config.json tells weights of SHA-256 {told[:16]}…",
        )


def weights_digest(path: Path) -> str:
    """SHA-256 of a model's weights, of all its files by name where it is a folder."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.glob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def weights_in(path: Path) -> Path:
    """The file of weights of a model that is one file, or a folder with `model.safetensors`."""
    return path if path.is_file() else path / "model.safetensors"
