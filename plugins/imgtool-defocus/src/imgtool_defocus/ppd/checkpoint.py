"""Weights in folders: those that `imgtool train depth.ppd` writes, and published ones.

Published weights are named alike, behind `dit.` or nothing, and have no `config.json`: their shapes
say what it would.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch

from imgtool_defocus.ppd.config import CONFIG, PpdConfig, read_config, write_config
from imgtool_defocus.ppd.net import CascadeTransformer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

WEIGHTS: Final = "model.safetensors"
PREFIX: Final = "dit."


def save_ppd(net: CascadeTransformer, folder: Path) -> None:
    """Write weights, half precision, under their published names, and `config.json`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {PREFIX + name: value.half().contiguous() for name, value in net.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    write_config(net.config, folder)


def load_ppd(folder: Path) -> CascadeTransformer:
    """The net in a folder, float32, for inference.

    Raises
    ------
    ValueError : the folder holds something else.
    """
    from safetensors.torch import load_file

    if not (folder / WEIGHTS).is_file():
        raise ValueError(f"it has no {WEIGHTS}")
    weights = {
        name.removeprefix(PREFIX): value.float()
        for name, value in load_file(folder / WEIGHTS).items()
    }
    shapes = shapes_of(weights)
    config = read_config(folder) if (folder / CONFIG).is_file() else shapes
    known = replace(shapes, area=config.area, objective=config.objective, encoder=config.encoder)
    if known != config:
        raise ValueError(f"its weights are not of its {CONFIG}")
    with torch.device("meta"):
        net = CascadeTransformer(config)
    try:
        net.load_state_dict(weights, assign=True)
    except RuntimeError as err:
        reason = str(err).splitlines()[1].strip()
        raise ValueError(f"its weights are of no Pixel-Perfect Depth: {reason}") from err
    return net.eval()


def shapes_of(weights: Mapping[str, Tensor]) -> PpdConfig:
    """What shapes tell; a flow for pictures of the paper's area.

    Raises
    ------
    ValueError : a weight by which to tell is missing.
    """
    try:
        width, _, patch, _ = weights["x_embedder.proj.weight"].shape
        fused = weights["proj_fusion.0.weight"].shape[1]
        heads = width // len(weights["blocks.0.attn.q_norm.weight"])
    except KeyError as err:
        raise ValueError(f"its weights have no {err}") from None
    blocks = len({name.split(".")[1] for name in weights if name.startswith("blocks.")})
    return PpdConfig(width, blocks, heads, patch, semantics=fused - width)
