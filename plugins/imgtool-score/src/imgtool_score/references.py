"""The pictures that rows are compared with: a field, one file, or a folder matched by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.api import InputMissing, read_picture

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from imgtool.api import Row

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


class References:
    """Finds the reference of a row.

    In a folder a row's reference is the file named, without its suffix, like the row's id, like
    its picture's file, or like the id of the row it descends from.

    Raises
    ------
    InputMissing : there is no such file or folder.
    """

    def __init__(self, place: str) -> None:
        path = Path(place).expanduser()
        self.single: np.ndarray | None = None
        self.files: Mapping[str, Path] = {}
        if not place:
            return
        if not path.exists():
            raise InputMissing(f"no such file or folder: {place!r}")
        if path.is_dir():
            every = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            self.files = {file.stem: file for file in every}
        else:
            self.single = read_picture(path)

    def of(self, row: Row) -> np.ndarray | None:
        """[H, W, 3] uint8; None where the row has none."""
        if self.single is not None:
            return self.single
        for name in self._names(row):
            if name in self.files:
                return read_picture(self.files[name])
        field: Any = row.values.get("reference")
        given: np.ndarray | None = field
        return given

    def _names(self, row: Row) -> list[str]:
        names = [row.id]
        path = row.values.get("path")
        if path:
            names.append(Path(str(path)).stem)
        parent = row.id
        while "." in parent:
            parent = parent.rpartition(".")[0]
            names.append(parent)
        return names


def aligned(
    image: np.ndarray, reference: np.ndarray, how: str
) -> tuple[np.ndarray, np.ndarray] | str:
    """Both at one size, or why not. `crop` cuts both centres, `resize` resizes the reference."""
    if image.shape == reference.shape:
        return image, reference
    (height, width), (theirs_h, theirs_w) = image.shape[:2], reference.shape[:2]
    if how == "crop":
        size = min(height, theirs_h), min(width, theirs_w)
        return _centre(image, size), _centre(reference, size)
    if how == "resize":
        return image, _resized(reference, width, height)
    return (
        f"the picture has {width}×{height} pixels, its reference {theirs_w}×{theirs_h}; "
        "say --align crop or --align resize"
    )


def _centre(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    top, left = ((have - want) // 2 for have, want in zip(image.shape, size, strict=False))
    return image[top : top + size[0], left : left + size[1]]


def _resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture)
