"""What belongs to a picture file beside its colours stays with the picture made from it."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgtool.errors import InputUnreadable
from imgtool.pictures.metadata import Level, read_metadata
from imgtool.pictures.patterns import parse_pattern
from imgtool.pictures.photo import carried, read_photo, read_picture
from imgtool.pictures.writer import encode

if TYPE_CHECKING:
    from pathlib import Path

CAMERA, ORIENTATION, RESOLUTION, WIDTH = 0x0110, 0x0112, 0x011A, 0xA002
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FORMATS = pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp[lossless]"])


def written(row: dict[str, Any], name: str, level: Level = Level.FULL) -> Image.Image:
    """The row's picture as a file of that name holds it."""
    values = {"id": "0", "width": row["image"].shape[1], "height": row["image"].shape[0]}
    data = encode(row["image"], parse_pattern(name), level, values, {}, carried(row))
    return Image.open(io.BytesIO(data))


@pytest.fixture
def photo(tmp_path: Path) -> dict[str, Any]:
    """A photograph that a camera held upright took: it has a profile and EXIF."""
    exif = Image.Exif()
    exif[CAMERA], exif[ORIENTATION] = "Box", 6
    exif.get_ifd(0x8769)[WIDTH] = 6
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (6, 4), "red").save(path, exif=exif, icc_profile=PROFILE)
    return read_photo(path)


@FORMATS
def test_profile_and_exif_are_kept_for_the_upright_picture(
    photo: dict[str, Any], name: str
) -> None:
    shown = written(photo, name)
    exif = shown.getexif()

    assert shown.info["icc_profile"] == PROFILE
    assert (exif[CAMERA], exif.get(ORIENTATION)) == ("Box", None)
    assert exif.get_ifd(0x8769)[WIDTH] == shown.width == 4


def test_exif_that_cannot_be_written_again_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exif = Image.Exif()
    exif[RESOLUTION] = 72.0
    a_ratio, a_text = (struct.pack(">HH", RESOLUTION, kind) for kind in (5, 2))
    path = tmp_path / "damaged.jpg"
    Image.new("RGB", (6, 4), "red").save(path, exif=exif.tobytes().replace(a_ratio, a_text))

    assert set(read_photo(path)) == {"image"}
    assert "damaged.jpg': its EXIF is damaged and left out" in caplog.text


@FORMATS
@pytest.mark.parametrize("level", [Level.PUBLIC, Level.NONE])
def test_exif_is_for_full_metadata_alone_and_the_profile_for_all(
    photo: dict[str, Any], name: str, level: Level
) -> None:
    shown = written(photo, name, level)

    assert shown.info["icc_profile"] == PROFILE
    assert CAMERA not in shown.getexif()


def test_own_metadata_is_read_beside_the_exif(photo: dict[str, Any], tmp_path: Path) -> None:
    written(photo, "x.jpg").save(tmp_path / "again.jpg", exif=written(photo, "x.jpg").getexif())

    assert read_metadata(tmp_path / "again.jpg")["record"]["row"]["width"] == 4


@pytest.mark.parametrize("name", ["x.png", "x.webp[lossless]"])
def test_transparency_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 4), dtype=np.uint8)
    pixels[:8, :, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    shown = np.asarray(written(read_photo(tmp_path / "a.png"), name))
    solid = pixels[..., 3] > 127

    assert (shown[..., 3] == pixels[..., 3]).all()
    assert (shown[:8] == pixels[:8]).all()
    assert np.abs(shown.astype(int) - pixels)[solid].max() <= 2


def test_transparency_goes_onto_white_where_the_format_has_none(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.png")
    shown = written(read_photo(tmp_path / "a.png"), "x.jpg")

    assert shown.getextrema() == ((255, 255),) * 3


def test_a_plain_picture_carries_nothing(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 255)).save(tmp_path / "a.png")

    assert set(read_photo(tmp_path / "a.png")) == {"image"}


def test_a_profile_of_greys_does_not_go_with_colours(tmp_path: Path) -> None:
    grey = PROFILE[:16] + b"GRAY" + PROFILE[20:]
    Image.new("L", (4, 4), 7).save(tmp_path / "a.png", icc_profile=grey)

    assert "icc" not in read_photo(tmp_path / "a.png")


def test_deep_greys_keep_their_brightness(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 32896, 65535]], dtype=np.uint16)).save(tmp_path / "d.png")
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)).save(tmp_path / "f.tif")

    for name in ("d.png", "f.tif"):
        assert read_picture(tmp_path / name)[0, :, 0].tolist() == [0, 128, 255]


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.0, np.nan]], dtype=np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(InputUnreadable, match="NaN"):
        read_picture(tmp_path / "f.tif")


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_animations_and_pages_are_refused(tmp_path: Path, name: str) -> None:
    first, *rest = (Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue"))
    first.save(tmp_path / name, save_all=True, append_images=rest)
    with pytest.raises(InputUnreadable, match="holds 3 pictures"):
        read_photo(tmp_path / name)


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_a_header_that_asks_for_all_memory_is_refused(tmp_path: Path, side: int) -> None:
    Image.new("1", (8, 8)).save(tmp_path / "huge.png")
    data = (tmp_path / "huge.png").read_bytes()
    head = b"IHDR" + struct.pack(">II", side, side) + data[24:29]
    crc = struct.pack(">I", zlib.crc32(head))
    (tmp_path / "huge.png").write_bytes(data[:12] + head + crc + data[33:])

    with pytest.raises(InputUnreadable, match="too many"):
        read_photo(tmp_path / "huge.png")


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "1"])
def test_every_mode_becomes_colours(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (3, 2), "white").convert(mode).save(tmp_path / "m.tif")

    assert (read_picture(tmp_path / "m.tif") == 255).all()
