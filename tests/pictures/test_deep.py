"""Pictures of 16 bits a channel: read, carried for as long as they are true, and written."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from imgtool.api import DEEP
from imgtool.pictures.deep import deep_of, in_8_bits
from imgtool.pictures.metadata import Level
from imgtool.pictures.patterns import parse_pattern
from imgtool.pictures.photo import carried, read_photo
from imgtool.pictures.writer import encode

if TYPE_CHECKING:
    from pathlib import Path

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
ORIENTATION, CAMERA = 0x0112, 0x0110
PROFILE = b"\0" * 16 + b"RGB " + b"\0" * 108


def drawn(height: int, width: int, channels: int) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 65536, (height, width, channels), "u2")


def save(path: Path, pixels: np.ndarray, more: bytes = b"") -> None:
    """A PNG without filters, put together by hand."""
    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = [chunk(b"IHDR", head), more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def written(row: dict[str, Any], name: str = "x.png") -> bytes:
    values = {"id": "0", "width": row["image"].shape[1], "height": row["image"].shape[0]}
    return encode(row["image"], parse_pattern(name), Level.FULL, values, {}, carried(row))


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_read_and_written_as_they_are(tmp_path: Path, channels: int) -> None:
    pixels = drawn(300, 7, channels)
    save(tmp_path / "a.png", pixels)
    row = read_photo(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(written(row))

    assert (row[DEEP.name] == pixels).all()
    assert (row["image"] == np.rint(pixels / 257)).all()
    assert (read_photo(tmp_path / "b.png")["deep"] == pixels).all()


def test_deep_transparency_comes_back(tmp_path: Path) -> None:
    pixels = drawn(9, 8, 4)
    pixels[..., 3] |= 0x8000
    pixels[0] = 65535
    save(tmp_path / "a.png", pixels)
    row = read_photo(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(written(row))
    again = read_photo(tmp_path / "b.png")

    assert row["alpha"].tolist() == (pixels[..., 3] / np.float32(65535)).tolist()
    assert (again["alpha"] == row["alpha"]).all()
    assert np.abs(again["deep"].astype(int) - row["deep"]).max() <= 1
    assert written(row, "x.webp")


def test_what_the_file_says_beside_its_pixels_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[CAMERA], exif[ORIENTATION] = "Box", 6
    profile = chunk(b"iCCP", b"any\0\0" + zlib.compress(PROFILE))
    pixels = drawn(4, 6, 3)
    save(tmp_path / "a.png", pixels, profile + chunk(b"eXIf", exif.tobytes()[6:]))
    row = read_photo(tmp_path / "a.png")
    shown = Image.open(io.BytesIO(written(row)))

    assert (row["deep"] == np.rot90(pixels, -1)).all()
    assert shown.info["icc_profile"] == PROFILE
    assert "imgtool" in shown.info
    assert (shown.getexif()[CAMERA], shown.getexif().get(ORIENTATION)) == ("Box", None)


def test_bits_of_a_picture_that_has_changed_since_do_not_count(tmp_path: Path) -> None:
    save(tmp_path / "a.png", drawn(5, 6, 3))
    row = read_photo(tmp_path / "a.png")
    changed = {**row, "image": row["image"] ^ 1}
    smaller = {**row, "image": row["image"][:2]}

    assert deep_of(row) is not None
    assert deep_of(changed) is None
    assert deep_of(smaller) is None
    assert (
        np.asarray(Image.open(io.BytesIO(written(changed)))).tolist() == changed["image"].tolist()
    )


@pytest.mark.parametrize("channels", [2, 3])
def test_files_without_sixteen_bits_of_colour_have_eight(tmp_path: Path, channels: int) -> None:
    if channels == 2:
        save(tmp_path / "a.png", drawn(3, 3, 2))
    else:
        Image.new("RGB", (3, 3), "red").save(tmp_path / "a.png")

    assert DEEP.name not in read_photo(tmp_path / "a.png")


def test_rounding_is_to_the_nearest() -> None:
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)

    assert (in_8_bits(deep) == np.rint(deep / 257)).all()
