"""`defocus.thinlens` as a stage and as a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from lens_rows import HEIGHT, WIDTH, batch, facts, halves, opened, picture
from PIL import Image
from PIL.Image import Exif

from imgtool.api import BadParams, Batch, OutOfMemory, Runtime, UnknownComponent, in_8_bits
from imgtool.cli.main import run
from imgtool.registry import Registry
from imgtool_defocus.exif import EXPOSURE, taken_with

if TYPE_CHECKING:
    from imgtool_defocus.aperture import Aperture

LEFT, RIGHT = slice(0, WIDTH // 2), slice(24, WIDTH)
"""Columns of the near half, and of the far one where no blur of the near one reaches."""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("IMGTOOL_PLUGINS", "imgtool-defocus")
        loaded = Registry.load()
        loaded.specs("stage")
        return loaded


@pytest.mark.parametrize(("focus_at", "sharp"), [
    ("1m", LEFT), ("10m", RIGHT), ("20%,50%", LEFT), ("30,12", RIGHT),
])  # fmt: skip
def test_what_the_focus_is_on_keeps_its_pixels_and_the_rest_is_blurred(
    registry: Registry, focus_at: str, sharp: slice
) -> None:
    stage = opened(
        registry, focus_at=focus_at, f_number=1.0, focal_length="85mm", sensor="mft", max_coc=25.0
    )
    image = stage.process(batch(halves())).arrays("image")[0]
    same = (image == picture()).all(axis=(0, 2))

    assert same[sharp].all()
    assert image.dtype == np.uint8
    assert not same.all()


def test_values_used_are_written_down(registry: Registry) -> None:
    made = opened(registry, focus_at="inf", f_number=4, focal_length="24mm").process(
        batch(halves())
    )
    found = facts(made)

    assert found["focus_m"] is None
    assert found["sharp_to_m"] is None
    assert found["depth_kind"] == "metric"
    assert (found["focal_mm"], found["f_number"], found["sensor_mm"]) == (24.0, 4, 36.0)
    assert made.arrays("coc")[0][0, 0] == pytest.approx(-found["px_metres"] / 1.0)
    assert found["widest_coc"] == pytest.approx(found["px_metres"], rel=1e-6)


def test_auto_is_on_what_takes_most_of_the_middle(registry: Registry) -> None:
    depth = halves()
    depth[:, : WIDTH // 2 + 2] = 3.0

    assert facts(opened(registry).process(batch(depth)))["focus_m"] == 3.0


def test_an_upright_picture_has_the_short_side_of_the_sensor_across(registry: Registry) -> None:
    upright = Batch(
        ("0",), {"image": [picture().transpose(1, 0, 2)], "depth": [halves().T], "seed": [0]}
    )

    assert facts(opened(registry).process(upright))["sensor_mm"] == 24.0


def test_discs_are_cut_to_the_widest_allowed_and_counted(registry: Registry) -> None:
    wide = opened(registry, focus_at="10m", f_number=0.5, focal_length="200mm", max_coc=10.0)
    found = facts(wide.process(batch(halves())))

    assert found["widest_coc"] == pytest.approx(3.6)
    assert found["clamped"] == 0.5


def test_discs_of_more_than_a_quarter_of_the_picture_have_to_be_forced(registry: Registry) -> None:
    lens: dict[str, Any] = {"focus_at": "10m", "f_number": 0.5, "focal_length": "200mm"}
    refused = opened(registry, **lens).process(batch(halves()))
    forced = opened(registry, **lens, force=True).process(batch(halves()))

    assert "--force allows more than 25%" in refused.failures["0"].reason
    assert facts(forced)["widest_coc"] > WIDTH / 4
    assert facts(forced)["clamped"] == 0


class SmallDevice(Runtime):
    """A device that is not the CPU, and has no room for anything."""

    @property
    def torch_device(self) -> torch.device:
        return torch.device("meta")

    def halving(self, compute: Any, rows: Any, size: int = 0) -> Any:
        try:
            return compute(rows)
        except NotImplementedError as err:
            raise OutOfMemory("no room") from err


def test_what_does_not_fit_on_the_device_is_taken_on_the_cpu_by_the_same_lens(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    stage = opened(registry, focus_at="1m", f_number=1.0, focal_length="85mm")
    wanted = stage.process(batch(halves())).arrays("image")[0]
    stage.runtime = SmallDevice(device="cpu", registry=registry)
    made = stage.process(batch(halves())).arrays("image")[0]

    np.testing.assert_array_equal(made, wanted)
    assert "taken on the CPU" in caplog.text


def test_what_does_not_fit_at_once_is_taken_in_strips_on_the_device(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    stage = opened(registry, focus_at="1m", f_number=4.0)
    wanted = stage.process(batch(halves())).arrays("image")[0]
    render, asked = stage.model, []

    def small(linear: torch.Tensor, coc: torch.Tensor, aperture: Aperture) -> Any:
        asked.append(len(coc))
        if len(coc) > HEIGHT:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return render(linear, coc, aperture)

    stage.model = small
    made = stage.process(batch(halves())).arrays("image")[0]

    np.testing.assert_array_equal(made, wanted)
    assert asked[0] > HEIGHT >= asked[-1]
    assert "taken on the CPU" not in caplog.text


def test_a_row_whose_depth_does_not_do_fails_and_the_others_go_on(registry: Registry) -> None:
    torn = np.full((HEIGHT, WIDTH), np.nan, dtype=np.float32)
    made = opened(registry).process(batch(halves(), torn, halves()[:, :20]))

    assert made.ids == ("0",)
    assert made.failures["1"].reason == "100% of the depth is not finite and positive"
    assert made.failures["2"].reason == "the depth is 20×24 and the picture 36×24 pixels"


def test_holes_and_infinity_in_the_depth_are_no_obstacle(registry: Registry) -> None:
    torn = halves()
    torn[3, :4], torn[9, 20:] = (np.nan, 0.0, -1.0, np.inf), np.inf
    made = opened(registry, focus_at="1m").process(batch(torn))

    assert facts(made)["filled"] == pytest.approx(16 / torn.size + 4 / torn.size)
    assert np.isfinite(made.arrays("coc")[0]).all()


def test_a_picture_of_one_pixel_stays_as_it_is(registry: Registry) -> None:
    row = Batch(
        ("0",),
        {
            "image": [np.array([[[9, 99, 199]]], dtype=np.uint8)],
            "depth": [np.full((1, 1), 2.0, dtype=np.float32)],
            "seed": [0],
        },
    )
    made = opened(registry, focus_at="1m", f_number=1.0, force=True).process(row)

    np.testing.assert_array_equal(made.arrays("image")[0], row.arrays("image")[0])


def test_a_kind_given_counts_and_one_unknown_fails(registry: Registry) -> None:
    stage = opened(registry, focus_at="1m")
    share = (halves() - 1.0) / 9.0
    near, far = (
        stage.process(batch(share, depth_kind=[kind])).arrays("coc")[0][0, 0]
        for kind in ("relative", "disparity")
    )

    assert (near == 0, far > 0) == (True, True)
    assert "is none of" in stage.process(batch(share, depth_kind=["z"])).failures["0"].reason


@pytest.mark.parametrize(("params", "reason"), [
    ({"focal_length": "0"}, "--focal-length: '0' is no length"),
    ({"focus_at": "here"}, "--focus-at: 'here' is no length"),
    ({"focus_at": "4cm", "focal_length": "5cm"}, "--focus-at 4cm is nearer than the focal length"),
    ({"sensor": "film"}, "--sensor: 'film' is no sensor"),
    ({"near": "9m", "far": "2m"}, "--near 9m is not nearer than --far 2m"),
    ({"rack": "1m..2m"}, "--rack: '1m..2m' is no rack"),
    ({"rack": "4cm..2m:3", "focal_length": "85mm"}, "--rack 4cm..2m:3 begins nearer than the"),
    ({"rack": "1m..2m:3", "f_numbers": (2.0,)}, "two series"),
    ({"strength": 20.0, "f_number": 2.0}, "two apertures"),
    ({"strength": 20.0, "f_numbers": (2.0, 4.0)}, "two apertures"),
])  # fmt: skip
def test_values_that_mean_nothing_are_refused_before_anything_runs(
    registry: Registry, params: dict[str, str], reason: str
) -> None:
    with pytest.raises(BadParams, match=reason):
        opened(registry, **params)


def test_a_lens_model_that_nobody_has_is_refused(registry: Registry) -> None:
    with pytest.raises(UnknownComponent, match="'swirly'"):
        opened(registry, lens_model="swirly")


@pytest.mark.parametrize("model", ["layered", "scatter", "gather", "trace"])
def test_every_lens_model_goes_by_its_name(registry: Registry, model: str) -> None:
    stage = opened(registry, lens_model=model, focus_at="1m", f_number=1.4, blades=6)

    assert stage.process(batch(halves())).ids == ("0",)


def test_the_command_takes_a_picture_and_its_depth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGTOOL_PLUGINS", "imgtool-defocus")
    Image.fromarray(picture()).save("photo.png")
    Image.fromarray(((halves() - 1) * 25).astype(np.uint8)).save("depth.png")
    words = ["defocus", "photo.png", "--focus-at", "1.2", "--f-number", "1.8", "-o", "out.png"]
    missing, done = run(words), run([*words, "--depth", "depth.png"])

    assert (missing, done) == (2, 0)
    assert "needs the field 'depth'" in capfd.readouterr().err
    with Image.open("out.png") as shown:
        assert shown.size == (WIDTH, HEIGHT)


SERIES: list[tuple[str, list[Any]]] = [
    ("f_numbers", [1.4, 5.6, 32.0]),
    ("rack", ["1m", f"{1 / 0.55}m", "10m"]),
]


@pytest.mark.parametrize(("name", "values"), SERIES)
@pytest.mark.parametrize("is_rich", [False, True])
def test_pictures_of_a_series_are_to_the_bit_as_if_alone(
    registry: Registry, name: str, values: list[Any], is_rich: bool
) -> None:
    settings: dict[str, Any] = {"focal_length": "85mm", "highlight_boost": 2.0}
    if name == "f_numbers":
        each = [{"f_number": value, "focus_at": "20%,50%"} for value in values]
        asked: dict[str, Any] = {"f_numbers": tuple(values), "focus_at": "20%,50%"}
    else:
        each, asked = [{"focus_at": value} for value in values], {"rack": "1m..10m:3"}
    rich: dict[str, Any] = {}
    if is_rich:
        deep = picture().astype(np.uint16) * 257
        rich = {
            "deep": [deep],
            "alpha": [
                np.linspace(0, 1, deep[..., 0].size, dtype=np.float32).reshape(HEIGHT, WIDTH)
            ],
        }
    series = opened(registry, **asked, **settings).process(batch(halves(), **rich))
    alone = [opened(registry, **one, **settings).process(batch(halves(), **rich)) for one in each]

    assert (series.ids, series.parents) == (("0.0", "0.1", "0.2"), ("0",) * 3)
    for field in ("image", "coc", *rich):
        shown = [one.arrays(field)[0] for one in alone]
        np.testing.assert_array_equal(np.stack(series.arrays(field)), np.stack(shown))


def test_rows_of_a_series_that_cannot_be_taken_leave_the_others(registry: Registry) -> None:
    torn = np.full((HEIGHT, WIDTH), np.nan, dtype=np.float32)
    series = opened(registry, f_numbers=(1.4, 5.6, 32.0), focus_at="1m", focal_length="85mm")
    made = series.process(batch(torn, halves()))
    widest = [record["widest_coc"] for record in made["defocus"]]  # type: ignore[index, call-overload]

    assert (made.ids, list(made.failures)) == (("1.0", "1.1", "1.2"), ["0"])
    assert [wide * n for wide, n in zip(widest, (1.4, 5.6, 32.0), strict=True)] == pytest.approx(
        [widest[0] * 1.4] * 3
    )


def test_a_rack_goes_from_one_distance_to_the_other(registry: Registry) -> None:
    made = opened(registry, rack="1m..10m:3").process(batch(halves()))
    found = [record["focus_m"] for record in made["defocus"]]  # type: ignore[index, call-overload]

    assert found == pytest.approx([1.0, 2 / (1 + 0.1), 10.0])
    near, _, far = made.arrays("coc")
    assert (near[:, 0] == 0).all()
    assert np.abs(far[:, -1]).max() < 1e-5


def test_rows_that_all_fail_leave_an_empty_batch(registry: Registry) -> None:
    torn = np.full((HEIGHT, WIDTH), np.nan, dtype=np.float32)
    made = opened(registry, f_numbers=(2.0, 4.0)).process(batch(torn))

    assert (made.ids, list(made.failures)) == ((), ["0"])


def test_the_lens_of_a_photo_is_used_and_the_one_used_is_written(registry: Registry) -> None:
    exif = Exif()
    exif.get_ifd(EXPOSURE).update({0x920A: 35.0, 0x829D: 2.0})
    block = np.frombuffer(exif.tobytes(), dtype=np.uint8)
    made = opened(registry, focus_at="1m", f_numbers=(2.0, 8.0)).process(
        batch(halves(), exif=[block])
    )
    records: list[Any] = list(made["defocus"])

    assert [record["focal_mm"] for record in records] == [35.0, 35.0]
    assert records[0]["from"] == {"focal_mm": "exif", "f_number": "given", "sensor_mm": "default"}
    assert [taken_with(item.tobytes()).f_number for item in made.arrays("exif")] == [2.0, 8.0]


def test_transparency_is_blurred_with_the_picture_and_white_does_not_bleed(
    registry: Registry,
) -> None:
    shape = (HEIGHT, WIDTH)
    alpha = np.zeros(shape, dtype=np.float32)
    alpha[:, : WIDTH // 2] = 1.0
    red = np.array([200, 0, 0], dtype=np.uint8)
    laid = np.where(alpha[..., None] > 0, red, 255).astype(np.uint8)
    stage = opened(registry, focus_at="10m", f_number=1.4, focal_length="85mm")
    one = Batch(("0",), {"image": [laid], "depth": [halves()], "seed": [0], "alpha": [alpha]})
    made = stage.process(one)
    (image,), (soft,) = made.arrays("image"), made.arrays("alpha")
    between = (soft > 0.1) & (soft < 0.9)
    own = (image - 255.0 * (1.0 - soft[..., None])) / soft.clip(0.1)[..., None]

    assert between.any()
    assert soft[12, 0] == pytest.approx(1.0, abs=1e-4)
    assert np.abs(own[between] - red).max() < 8
    assert "alpha" not in stage.process(batch(halves())).columns


def test_sixteen_bits_stay_sixteen(registry: Registry) -> None:
    deep = np.linspace(9000, 10999, HEIGHT * WIDTH * 3).astype(np.uint16).reshape(HEIGHT, WIDTH, 3)
    stage = opened(registry, focus_at="1m", f_number=8)
    row = batch(halves(), deep=[deep])
    row = row.with_columns(image=[in_8_bits(deep)])
    made = stage.process(row)
    (image,), (fine,) = made.arrays("image"), made.arrays("deep")

    assert (in_8_bits(fine) == image).all()
    np.testing.assert_array_equal(fine[:, LEFT], deep[:, LEFT])
    assert len(np.unique(fine[:, RIGHT])) > 256


def test_bits_of_another_picture_are_left_out(registry: Registry) -> None:
    stale = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint16)
    made = opened(registry, focus_at="1m").process(batch(halves(), deep=[stale]))

    assert made.arrays("image")[0].any()
    assert made["deep"][0] is None


def test_a_picture_of_sixteen_bits_leaves_the_command_in_sixteen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGTOOL_PLUGINS", "imgtool-defocus")
    greys = np.linspace(9000, 10999, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    Image.fromarray(greys).save("photo.png")
    np.save("depth.npy", halves())
    words = ["defocus", "photo.png", "--depth", "depth.npy", "--focus-at", "1m", "-o", "out.png"]

    assert run(words) == 0
    assert Path("out.png").read_bytes()[24] == 16
    with Image.open("out.png") as shown:
        assert shown.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("focal_length", ["35mm", "85mm"])
def test_a_strength_is_the_widest_disc_whatever_the_lens(
    registry: Registry, focal_length: str
) -> None:
    stage = opened(registry, strength=200.0, focus_at="1m", focal_length=focal_length)
    made = stage.process(batch(halves()))
    (exif,) = made.arrays("exif")

    assert facts(made)["widest_coc"] == pytest.approx(200.0 * WIDTH / 1024, rel=1e-6)
    assert facts(made)["from"]["f_number"] == "strength"
    assert taken_with(exif.tobytes()).f_number == pytest.approx(facts(made)["f_number"], rel=1e-4)


def test_depth_that_is_the_same_everywhere_is_said_to_be_and_has_no_strength(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    flat = np.full((HEIGHT, WIDTH), 2.0, dtype=np.float32)
    even = opened(registry, focus_at="1m").process(batch(flat))
    failed = opened(registry, strength=20.0).process(batch(flat))

    assert len(np.unique(even.arrays("coc")[0])) == 1
    assert "row 0: all of the depth is equally far" in caplog.text
    assert "equally far" in failed.failures["0"].reason
