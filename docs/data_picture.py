"""Makes docs/training-data.png: layers of an example of every view of the tabletop's data.

python docs/data_picture.py
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from imgtool.api import contact_sheet
from imgtool_tabletop.views.catalogue import VIEWS
from imgtool_tabletop.views.params import (
    CamerasParams,
    DefocusParams,
    EditsParams,
    InstancesParams,
    LeavesParams,
    ScalesParams,
    SceneParams,
    TexturesParams,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

TARGET = Path(__file__).resolve().parent / "training-data.png"
SIZE, COLUMNS, COLOURS = 96, 8, 256
# View, its parameters, an example, and which of its layers to show: with a number, an entry of one.
SHOWN: tuple[tuple[str, Any, int, tuple[str, ...]], ...] = (
    ("pairs", SceneParams(size=SIZE), 1, ("image",)),
    (
        "defocus",
        DefocusParams(size=SIZE, aperture="shallow", lens_points=256),
        17,
        ("sharp", "image", "depth", "coc"),
    ),
    ("cameras", CamerasParams(size=SIZE, views=3), 11, ("image 0", "image 1", "image 2")),
    (
        "instances",
        InstancesParams(size=SIZE, crop=SIZE),
        11,
        ("labels", "crops 0", "references 0", "crops 1", "references 1"),
    ),
    ("scales", ScalesParams(size=SIZE, degradation="mild"), 3, ("large", "small")),
    ("scales", ScalesParams(size=SIZE, low=4, source="leaves"), 5, ("small",)),
    (
        "edits",
        EditsParams(size=SIZE),
        0,
        ("image", "without", "recoloured", "mask", "changed", "labels_without"),
    ),
    ("leaves", LeavesParams(size=SIZE), 2, ("image",)),
    ("leaves", LeavesParams(size=SIZE, shape="disc", texture=0), 1, ("image",)),
    *(
        ("textures", TexturesParams(size=SIZE, kind=kind), index, ("image",))
        for kind, index in (("noise", 0), ("gradient", 3), ("grating", 0), ("shapes", 0))
    ),
)


def shown(value: Tensor) -> np.ndarray:
    """[H, W, 3] uint8 of a layer: colours as they are, all else from its least to its most."""
    if value.dim() == 3:
        return value.permute(1, 2, 0).numpy()
    plane = value.float()
    span = (plane.max() - plane.min()).clamp_min(1e-6)
    grey = ((plane - plane.min()) / span * 255).to(torch.uint8)
    return grey[..., None].expand(-1, -1, 3).numpy()


def main() -> None:
    """Make the examples, put their layers side by side, and write the picture."""
    cells, labels = [], []
    for name, params, index, layers in SHOWN:
        values = VIEWS[name](params).example(index).values
        for layer in layers:
            stem, _, entry = layer.partition(" ")
            value = values[stem]
            cells.append(shown(value[int(entry)] if entry else value))  # type: ignore[index,arg-type]
            labels.append(f"{name} {layer}")
    sheet = contact_sheet(cells, labels, COLUMNS, SIZE)
    sheet.quantize(COLOURS).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
