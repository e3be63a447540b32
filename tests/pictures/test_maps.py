"""Maps of numbers go to files and come back with what they mean."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from imgtool.errors import InputUnreadable, OutputUnwritable, UsageError
from imgtool.fields import COC, DEPTH, IMAGE
from imgtool.inputs import bind
from imgtool.pictures.maps import encode_map
from imgtool.pictures.patterns import parse_pattern
from imgtool.pictures.read import read_map
from imgtool.ui.exports import PictureOutlet

if TYPE_CHECKING:
    from pathlib import Path

DEPTHS = np.geomspace(0.4, 900, 12 * 20).reshape(12, 20).astype(np.float32)


def written(path: Path, values: np.ndarray, name: str = "depth", **about: object) -> Path:
    path.write_bytes(encode_map(values, name, path.suffix[1:].upper(), about))
    return path


def test_metres_come_back_from_png_as_metres(tmp_path: Path) -> None:
    path = written(tmp_path / "d.png", DEPTHS, depth_kind="metric", depth_by={"model": "x"})
    found, told = read_map(path, DEPTH)
    step = (1 / 0.4 - 1 / 900) / 65534

    assert told == {"depth_kind": "metric"}
    assert found.dtype == np.float32
    np.testing.assert_allclose(1 / found, 1 / DEPTHS, atol=0.51 * step, rtol=1e-6)
    with Image.open(path) as seen:
        assert seen.mode == "I;16"


@pytest.mark.parametrize("kind", ["relative", "disparity", ""])
def test_other_maps_come_back_from_png_to_a_step_of_their_range(tmp_path: Path, kind: str) -> None:
    values = DEPTHS - 450
    found, told = read_map(written(tmp_path / "d.png", values, depth_kind=kind), DEPTH)

    assert told == ({"depth_kind": kind} if kind else {})
    np.testing.assert_allclose(found, values, atol=0.51 * np.ptp(values) / 65534)


def test_holes_stay_holes_and_an_even_map_stays_even(tmp_path: Path) -> None:
    holey = np.full((4, 6), 3.0, dtype=np.float32)
    holey[0, :3] = np.nan, np.inf, 0.0
    found, _ = read_map(written(tmp_path / "d.png", holey, depth_kind="metric"), DEPTH)

    assert np.isnan(found[0, :3]).all()
    assert (found[1:] == 3.0).all()
    nothing, _ = read_map(written(tmp_path / "e.png", holey * np.nan), DEPTH)
    assert np.isnan(nothing).all()


def test_a_picture_of_another_field_is_grey(tmp_path: Path) -> None:
    path = written(tmp_path / "c.png", DEPTHS, "coc")

    assert read_map(path, COC)[0].max() == pytest.approx(900)
    assert read_map(path, DEPTH)[0].max() == 1.0


@pytest.mark.parametrize("suffix", [".npy", ".pfm"])
def test_numbers_come_back_from_arrays_exactly(tmp_path: Path, suffix: str) -> None:
    values = DEPTHS.copy()
    values[3, 4] = np.inf
    found, told = read_map(written(tmp_path / f"d{suffix}", values), DEPTH)

    np.testing.assert_array_equal(found, values)
    assert told == {}


def test_a_big_endian_pfm_begins_at_the_bottom(tmp_path: Path) -> None:
    rows = np.array([[1, 2, 3], [4, 5, 6]], dtype=">f4")
    (tmp_path / "d.pfm").write_bytes(b"Pf\n3 2\n1.0\n" + rows.tobytes())

    assert read_map(tmp_path / "d.pfm", DEPTH)[0].tolist() == [[4, 5, 6], [1, 2, 3]]


@pytest.mark.parametrize("data", [b"", b"P6\n1 1\n255\n", b"Pf\n3 2\n-1.0\n" + b"\0" * 23])
def test_damaged_pfm_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "d.pfm").write_bytes(data)

    with pytest.raises(InputUnreadable, match=r"d\.pfm"):
        read_map(tmp_path / "d.pfm", DEPTH)


@pytest.mark.parametrize("record", ["{", "[1]", '{"field": "depth", "low": "x"}', "[" * 100_000])
def test_a_damaged_record_is_one_line(tmp_path: Path, record: str) -> None:
    from PIL.PngImagePlugin import PngInfo

    chunks, out = PngInfo(), io.BytesIO()
    chunks.add_itxt("imgtool-map", record)
    Image.new("I;16", (4, 4)).save(out, "PNG", pnginfo=chunks)
    (tmp_path / "d.png").write_bytes(out.getvalue())

    with pytest.raises(InputUnreadable, match="damaged record"):
        read_map(tmp_path / "d.png", DEPTH)


def test_a_colour_picture_is_no_map_and_a_map_no_latents(tmp_path: Path) -> None:
    colours = np.zeros((4, 4, 3), dtype=np.float32)

    assert read_map(written(tmp_path / "i.pfm", colours, "image"), IMAGE)[0].shape == (4, 4, 3)
    with pytest.raises(OutputUnwritable, match="PNG does not hold latents, 4×4×3 numbers"):
        encode_map(colours, "latents", "PNG", {})


def test_what_a_bound_picture_says_of_itself_holds_unless_the_user_says_otherwise(
    tmp_path: Path,
) -> None:
    path = str(written(tmp_path / "d.png", DEPTHS, depth_kind="metric"))
    (told,) = bind([{"id": "0"}], {"depth": path})
    (said,) = bind([{"id": "0"}], {"depth_kind": "relative", "depth": path})

    assert (told["depth_kind"], said["depth_kind"]) == ("metric", "relative")


def test_a_pattern_names_the_field() -> None:
    pattern = parse_pattern("x.png[field=depth,compression=3]")

    assert (pattern.which, pattern.options) == ("depth", {"compression": 3})
    assert parse_pattern("x.ply", ["ply"]).format == "ply"
    with pytest.raises(UsageError, match="PFM has no option 'Q'"):
        parse_pattern("x.pfm[Q=3]")


def test_a_map_is_refused_as_jpeg_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="JPEG does not hold depth"):
        PictureOutlet(str(tmp_path / "d.jpg[field=depth]"))
