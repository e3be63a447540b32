"""Pictures to files: whole or not at all, and not written again when nothing changed."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from imgtool.errors import OutputUnwritable
from imgtool.pictures.metadata import Level, save_arguments
from imgtool.pictures.photo import with_alpha
from imgtool.store.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from PIL.Image import Image

    from imgtool.pictures.patterns import Pattern


def encode(
    image: np.ndarray,
    pattern: Pattern,
    level: Level,
    values: Mapping[str, Any],
    recipe: Mapping[str, Any],
    carried: Mapping[str, Any] = MappingProxyType({}),
) -> bytes:
    """Bytes of a picture file; equal arguments give equal bytes.

    Parameters
    ----------
    image : [H, W, 3] uint8, sRGB.
    values, recipe : see `imgtool.pictures.metadata.save_arguments`.
    carried : `alpha`, `deep`, `icc` and `exif` of the file that the picture was made from, where
        known. Opacity goes into formats that have it, 16 bits into PNG, EXIF where `level` is full.

    Raises
    ------
    OutputUnwritable : the picture's metadata is too long for the format.
    """
    from PIL import Image

    from imgtool.pictures.deep import deep_of, deepened, off_white

    options = _options(pattern, carried)
    options |= save_arguments(pattern.format, level, values, recipe, carried.get("exif"))
    alpha = carried.get("alpha")
    if alpha is not None and (alpha.shape != image.shape[:2] or pattern.format == "JPEG"):
        alpha = None
    deep = deep_of({**carried, "image": image}) if pattern.format == "PNG" else None
    shown = image[:1, :1] if deep is not None else image
    if alpha is not None and deep is None:
        shown = with_alpha(image, alpha)
    out = io.BytesIO()
    try:
        Image.fromarray(shown).save(out, pattern.format, **options)
    except ValueError as err:
        raise OutputUnwritable(
            f"cannot write row {values.get('id')}: {err}", "Try --metadata public, or PNG"
        ) from err
    if deep is None:
        return out.getvalue()
    pixels = deep if alpha is None else off_white(deep, alpha)
    return deepened(out.getvalue(), pixels, options.get("compress_level", -1))


def _options(pattern: Pattern, carried: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of Pillow's `save` that writer options and the colour profile come to."""
    options: dict[str, Any] = dict(pattern.options)
    if "Q" in options:
        options["quality"] = options.pop("Q")
    elif pattern.format != "PNG":
        options["quality"] = 92
    if "compression" in options:
        options["compress_level"] = options.pop("compression")
    if "icc" in carried:
        options["icc_profile"] = carried["icc"].tobytes()
    return options


def write_unless_equal(path: Path, data: bytes) -> bool:
    """Write, unless the file holds these bytes; whether it was written.

    Its time becomes now either way, as after any other tool: make sees that it is up to date.
    """
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        with suppress(OSError):  # another user's file, or a disk to read only: it is right
            os.utime(path)
        return False
    write_file(path, data)
    return True


def contact_sheet(
    images: Sequence[np.ndarray], labels: Sequence[str] = (), columns: int = 4, cell: int = 192
) -> Image:
    """One picture of many, in rows of `columns`, each fitted into `cell` pixels and labelled."""
    from PIL import Image, ImageDraw

    strip = 30 if labels else 0
    columns = max(1, min(columns, len(images)))
    lines = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (cell + 8) + 8, lines * (cell + strip + 8) + 8), "white")
    draw = ImageDraw.Draw(sheet)
    for index, image in enumerate(images):
        picture = Image.fromarray(image)
        scale = cell / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        x = 8 + index % columns * (cell + 8)
        y = 8 + index // columns * (cell + strip + 8)
        sheet.paste(picture.resize(size, Image.Resampling.BICUBIC), (x, y))
        if labels:
            _label(draw, labels[index], x, y + cell + 2, cell)
    return sheet


def _label(draw: Any, text: str, x: int, y: int, width: int) -> None:
    """Two lines of text at most, cut where the room ends."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if draw.textlength(longer) > width and line:
            lines.append(line)
            line = word
        else:
            line = longer
    lines.append(line)
    for at, shown in enumerate(lines[:2]):
        draw.text((x, y + 13 * at), shown, fill="black")
