"""A picture and its depth as coloured points: exporter of `.ply`.

Coordinates are the camera's, in metres: x to the right, y down, z away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from imgtool_defocus import depth as depths

if TYPE_CHECKING:
    from collections.abc import Mapping

NEAR_M, FAR_M = 1.0, 20.0
"""Ends of maps that know no metres."""
ASSUMED_FOCAL = 1.2
"""Focal length, in longer sides of the picture, where no model told it."""
VERTEX = np.dtype(
    [(axis, "<f4") for axis in "xyz"] + [(colour, "u1") for colour in ("red", "green", "blue")]
)
TYPES = {"<f4": "float", "|u1": "uchar"}


def encode(row: Mapping[str, Any]) -> bytes:
    """A binary PLY file of a row with `image` and `depth`; holes in the depth have no point.

    Raises
    ------
    ValueError : the depth does not fit the picture, or is of no known kind.
    """
    image = row["image"]
    height, width = image.shape[:2]
    values = depths.fitted(torch.tensor(row["depth"]), height, width)
    kind = depths.kind_of(values, str(row.get("depth_kind") or ""))
    told = (row.get("depth_by") or {}).get("focal_px")
    # In pixels of the picture that the depth is of, which may have been enlarged since.
    shown = told and float(told) * width / row["depth"].shape[-1]
    focal_px = shown or ASSUMED_FOCAL * max(height, width)
    here = depths.known(values, kind)
    y, x = np.nonzero(here.numpy())
    z = np.zeros(0, np.float32)
    if len(y):
        z = depths.metres(values[here], kind, NEAR_M, FAR_M)[0].numpy()
    points = np.empty(len(z), VERTEX)
    points["x"] = (x + 0.5 - width / 2) / focal_px * z
    points["y"] = (y + 0.5 - height / 2) / focal_px * z
    points["z"] = z
    for at, colour in enumerate(("red", "green", "blue")):
        points[colour] = image[y, x, at]
    about = [f"focal length {focal_px:g} pixels, {'estimated' if told else 'assumed'}"]
    if kind != depths.METRIC:
        about.append(f"{kind} depth, put from {NEAR_M:g} to {FAR_M:g} m")
    return _header(len(points), about) + points.tobytes()


def _header(count: int, about: list[str]) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {line}" for line in about)]
    lines.append(f"element vertex {count}")
    assert VERTEX.fields is not None
    lines += [f"property {TYPES[kind.str]} {name}" for name, (kind, *_) in VERTEX.fields.items()]
    return "\n".join([*lines, "end_header", ""]).encode()
