"""The camera that EXIF tells of, and what is written there."""

from __future__ import annotations

import math
import struct

import pytest
from PIL.Image import Exif
from PIL.TiffImagePlugin import IFDRational

from imgtool_defocus.camera import camera_of
from imgtool_defocus.exif import EXPOSURE, SUBJECT_DISTANCE, Taken, taken_with, with_lens
from imgtool_defocus.optics import Lens
from imgtool_defocus.stage import ThinLensParams

F_NUMBER, APEX, FOCAL, FOCAL_35 = 0x829D, 0x9202, 0x920A, 0xA405
MODEL, RESOLUTION = 0x0110, 0x011A


def block(tags: dict[int, object]) -> bytes:
    exif = Exif()
    exif.get_ifd(EXPOSURE).update(tags)
    exif[MODEL] = "A camera"
    return exif.tobytes()


@pytest.mark.parametrize(("tags", "focal_mm", "f_number", "diagonal_mm"), [
    ({FOCAL: 85.0, F_NUMBER: 1.8}, 85.0, 1.8, None),
    ({APEX: 1.6959}, None, 1.8, None),
    ({F_NUMBER: 4.0, APEX: 1.6959}, None, 4.0, None),
    ({FOCAL: 4.2, FOCAL_35: 26}, 4.2, None, 43.27 * 4.2 / 26),
    ({FOCAL: 50.0, FOCAL_35: 0}, 50.0, None, None),
    ({FOCAL: IFDRational(0, 0), F_NUMBER: IFDRational(0, 1)}, None, None, None),
    ({}, None, None, None),
])  # fmt: skip
def test_tags_are_read_and_what_cannot_be_is_not(
    tags: dict[int, object],
    focal_mm: float | None,
    f_number: float | None,
    diagonal_mm: float | None,
) -> None:
    taken = taken_with(block(tags))

    for found, wanted in zip(
        (taken.focal_mm, taken.f_number, taken.diagonal_mm),
        (focal_mm, f_number, diagonal_mm),
        strict=True,
    ):
        assert found == (None if wanted is None else pytest.approx(wanted, rel=1e-4))


@pytest.mark.parametrize("data", [b"", b"garbage", block({FOCAL: 85.0})[:20]])
def test_damaged_blocks_tell_nothing(data: bytes) -> None:
    assert taken_with(data) == Taken()


@pytest.mark.parametrize(("focus_m", "written"), [(2.4, 2.4), (math.inf, 0xFFFFFFFF)])
def test_a_lens_is_written_and_the_rest_stays(focus_m: float, written: float) -> None:
    old = block({APEX: 6.0, FOCAL: 24.0, FOCAL_35: 24})
    exif = Exif()
    exif.load(with_lens(old, Lens(85.0, 1.8, focus_m, 36.0), math.hypot(36, 24)))

    taken = taken_with(exif.tobytes())
    assert (taken.focal_mm, taken.f_number) == (85.0, 1.8)
    assert taken.diagonal_mm == pytest.approx(43.27)
    assert float(exif.get_ifd(EXPOSURE)[SUBJECT_DISTANCE]) == pytest.approx(written)
    assert exif[MODEL] == "A camera"


def test_a_lens_is_written_where_a_tag_cannot_be() -> None:
    exif = Exif()
    exif[RESOLUTION] = 72.0
    exif.get_ifd(EXPOSURE)[FOCAL] = 24.0
    ratio, text = (struct.pack(">HH", RESOLUTION, type_) for type_ in (5, 2))
    damaged = exif.tobytes().replace(ratio, text)

    assert damaged != exif.tobytes()
    assert taken_with(damaged).focal_mm == 24.0
    taken = taken_with(with_lens(damaged, Lens(85.0, 1.8, 2.4, 36.0), math.hypot(36, 24)))
    assert (taken.focal_mm, taken.f_number) == (85.0, 1.8)


def test_what_is_given_goes_before_exif_and_exif_before_defaults() -> None:
    taken = Taken(focal_mm=4.2, f_number=1.9, diagonal_mm=7.0)
    camera, origin = camera_of(ThinLensParams(f_number=8.0), taken, (3000, 4000))
    plain, defaults = camera_of(ThinLensParams(), Taken(), (3, 2))

    assert (camera.focal_mm, camera.f_number) == (4.2, 8.0)
    assert camera.sensor_mm == pytest.approx((5.6, 4.2))
    assert origin == {"focal_mm": "exif", "f_number": "given", "sensor_mm": "exif"}
    assert (plain.focal_mm, plain.f_number, plain.sensor_mm) == (50.0, 2.8, (36.0, 24.0))
    assert set(defaults.values()) == {"default"}


def test_the_sensor_of_exif_goes_with_its_own_lens_alone() -> None:
    taken = Taken(focal_mm=4.2, diagonal_mm=7.0)
    camera, origin = camera_of(ThinLensParams(focal_length="85mm"), taken, (4, 3))

    assert camera.sensor_mm == (36.0, 24.0)
    assert origin["sensor_mm"] == "default"
