"""A picture and its depth as points."""

from __future__ import annotations

import numpy as np
import pytest

from imgtool_defocus.pointcloud import VERTEX, encode

IMAGE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def points(**row: object) -> tuple[str, np.ndarray]:
    head, _, body = encode({"image": IMAGE, **row}).partition(b"end_header\n")
    return head.decode(), np.frombuffer(body, VERTEX)


def test_a_wall_is_a_plane_as_wide_as_the_field_of_view() -> None:
    wall = np.full((4, 6), 2.0, dtype=np.float32)
    head, found = points(depth=wall, depth_kind="metric", depth_by={"focal_px": 3.0})

    assert "comment focal length 3 pixels, estimated" in head
    assert "element vertex 24" in head
    assert (found["z"] == 2.0).all()
    assert found["x"][:6].tolist() == pytest.approx([(c + 0.5 - 3) / 3 * 2 for c in range(6)])
    assert found["y"][::6].tolist() == pytest.approx([(r + 0.5 - 2) / 3 * 2 for r in range(4)])
    colours = np.stack([found[name] for name in ("red", "green", "blue")], axis=1)
    np.testing.assert_array_equal(colours.reshape(4, 6, 3), IMAGE)


def test_points_stay_where_they_are_when_the_picture_is_enlarged() -> None:
    wall = np.full((4, 6), 2.0, dtype=np.float32)
    told = {"depth": wall, "depth_kind": "metric", "depth_by": {"focal_px": 3.0}}
    small, large = (
        points(**told, image=IMAGE.repeat(times, 0).repeat(times, 1))[1] for times in (1, 4)
    )

    assert len(large) == 16 * len(small)
    for axis in "xy":
        # Middles of outermost pixels: a quarter as far from the edge.
        reach = np.ptp(small[axis]) + (1 - 1 / 4) * 2 / 3
        assert np.ptp(large[axis]) == pytest.approx(reach)


@pytest.mark.parametrize("kind", ["metric", "disparity"])
@pytest.mark.parametrize("kept", [0, 1, 9])
def test_however_many_holes_there_are_the_rest_has_points(kind: str, kept: int) -> None:
    map_ = np.full((4, 6), np.inf, dtype=np.float32)
    map_.flat[:kept] = 2.0

    assert len(points(depth=map_, depth_kind=kind)[1]) == kept


def test_holes_have_no_point_and_guesses_are_said() -> None:
    map_ = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
    map_[0, 0] = np.nan
    head, found = points(depth=map_, depth_kind="disparity")

    assert len(found) == 23
    assert "comment focal length 7.2 pixels, assumed" in head
    assert "comment disparity depth, put from 1 to 20 m" in head
    assert (found["z"].min(), found["z"].max()) == pytest.approx((1.0, 20.0))


def test_depth_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="the depth is 6×6 and the picture 6×4"):
        points(depth=np.ones((6, 6), dtype=np.float32))
