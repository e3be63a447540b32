"""Layers as files: how each kind is encoded, and read again.

A file holds one entry. A layer with entries a view or a solid has several, numbered from 0. Layers
that are numbers or text are in the example's record.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from imgtool_tabletop.views.view import Kind, Layer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgtool_tabletop.views.view import Example

SCHEMA: Final = "imgtool-tabletop.data/1"
METRES_A_STEP: Final = 1e-4
"""Of 16-bit depth; the room's far wall is nearer than half of what they reach."""
AXES: Final = {Kind.PICTURE: 3, Kind.MASK: 2, Kind.LABELS: 2, Kind.METRES: 2}
"""Axes of one entry; of values, all."""
ENCODINGS: Final = {
    Kind.PICTURE: "png, 8-bit RGB, sRGB",
    Kind.MASK: "png, 8-bit grey, 255 is true",
    Kind.LABELS: "png, 8-bit grey",
    Kind.METRES: f"png, 16-bit grey, times {METRES_A_STEP} m",
    Kind.VALUES: "npy, float32",
    Kind.NUMBERS: "number or nested lists in the record",
    Kind.TEXT: "text in the record",
}
IN_RECORD: Final = (Kind.NUMBERS, Kind.TEXT)


def check_format(manifest: Mapping[str, Any]) -> None:
    """Raises ValueError unless `manifest` is of the format that is read and written here."""
    if manifest.get("schema") != SCHEMA:
        raise ValueError(f"schema is {manifest.get('schema')!r}, not {SCHEMA!r}")


def layer_files(layer: Layer, value: Tensor, id_: str) -> dict[str, bytes]:
    """Names of files below the data folder, and their bytes, in the order of the entries."""
    suffix = "npy" if layer.kind is Kind.VALUES else "png"
    if value.dim() == AXES.get(layer.kind, value.dim()):
        return {f"{layer.name}/{id_}.{suffix}": encoded(layer.kind, value)}
    return {
        f"{layer.name}/{id_}-{number}.{suffix}": encoded(layer.kind, entry)
        for number, entry in enumerate(value)
    }


def encoded(kind: Kind, value: Tensor) -> bytes:
    """One entry as the bytes of a file; equal entries give equal bytes."""
    file = io.BytesIO()
    if kind is Kind.VALUES:
        np.save(file, value.numpy())
        return file.getvalue()
    if kind is Kind.PICTURE:
        pixels = value.permute(1, 2, 0).contiguous().numpy()
    elif kind is Kind.MASK:
        pixels = value.numpy().astype(np.uint8) * 255
    elif kind is Kind.METRES:
        pixels = (value.double() / METRES_A_STEP).round().numpy().astype(np.uint16)
    else:
        pixels = value.numpy()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def record_of(example: Example, layers: tuple[Layer, ...], files: Mapping[str, list[str]]) -> Any:
    """The record of an example as JSON values: files by layer, numbers, text and the rest."""
    inline = {layer.name for layer in layers if layer.kind in IN_RECORD}
    values = {
        name: value.tolist() if isinstance(value, Tensor) else value
        for name, value in example.values.items()
        if name in inline
    }
    return {"index": example.index, "files": files, **values, **example.record}


def read_layer(folder: Path, layer: Layer, record: Mapping[str, Any]) -> Tensor | str:
    """A layer as the view had it, from its files or the record; metres to the nearest step."""
    if layer.kind is Kind.TEXT:
        return str(record[layer.name])
    if layer.kind is Kind.NUMBERS:
        return torch.tensor(record[layer.name], dtype=torch.float32)
    names = record["files"][layer.name]
    entries = [_read(layer.kind, folder / name) for name in names]
    is_one = names[0].rpartition("/")[2].partition(".")[0].isdigit()
    return entries[0] if is_one else torch.stack(entries)


def _read(kind: Kind, path: Path) -> Tensor:
    if kind is Kind.VALUES:
        return torch.from_numpy(np.load(path))
    pixels = torch.from_numpy(np.array(Image.open(path)))
    if kind is Kind.PICTURE:
        return pixels.permute(2, 0, 1)
    if kind is Kind.MASK:
        return pixels > 0
    return (pixels.double() * METRES_A_STEP).float() if kind is Kind.METRES else pixels
