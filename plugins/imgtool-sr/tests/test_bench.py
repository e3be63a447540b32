"""`imgtool bench sr`: pairs in the layouts that are about, one scale, figures with intervals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from imgtool.api import BadParams, InputEmpty, InputMissing
from imgtool.cli.main import run
from imgtool_sr.bench import _rows, common_scale, figure
from imgtool_sr.pairs import pairs_in

if TYPE_CHECKING:
    from pathlib import Path


def keep(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.linspace(0, 255, width * height * 3).reshape(height, width, 3)
    Image.fromarray(rows.astype(np.uint8)).save(path)


@pytest.mark.parametrize("names", [
    ("LR/a.png", "HR/a.png"),
    ("lq/a.jpg", "gt/a.png"),
    ("test_LR/a_x1.png", "test_HR/a_x4.png"),
    ("4/Canon_001_LR4.png", "4/Canon_001_HR.png"),
    ("Test/Nikon_LR2.png", "Test/Nikon_HR.png"),
    ("DIV2K_train_LR_bicubic/X4/0001x4.png", "DIV2K_train_HR/0001.png"),
])  # fmt: skip
def test_pairs_are_found_in_the_layouts_that_are_about(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    for name in names:
        keep(tmp_path / name, 4, 4)
    (pair,) = pairs_in(tmp_path)

    assert (pair.small, pair.sharp) == (tmp_path / names[0], tmp_path / names[1])


def test_a_name_that_looks_like_a_mark_is_a_name(tmp_path: Path) -> None:
    names = ["box.png", "fox1.png", "fox2.png", "low_tide.png"]
    for name in names:
        keep(tmp_path / "LR" / name, 4, 4)
        keep(tmp_path / "HR" / name, 4, 4)

    assert [(p.small.name, p.sharp.name) for p in pairs_in(tmp_path)] == [(n, n) for n in names]


def test_pictures_of_one_name_are_refused_not_left_out(tmp_path: Path) -> None:
    for name in ("HR/a.png", "LR/x2/a.png", "LR/x4/a.png"):
        keep(tmp_path / name, 4, 4)
    with pytest.raises(BadParams, match="go by one name, 'a'"):
        pairs_in(tmp_path)


def test_folders_without_pairs_say_what_they_hold(tmp_path: Path) -> None:
    keep(tmp_path / "LR" / "a.png", 4, 4)
    with pytest.raises(InputEmpty, match="1 small pictures, 0 sharp ones"):
        pairs_in(tmp_path)
    with pytest.raises(InputMissing):
        pairs_in(tmp_path / "none")


def test_pairs_share_a_scale_up_to_rounding(tmp_path: Path) -> None:
    keep(tmp_path / "LR" / "a.png", 10, 8)
    keep(tmp_path / "HR" / "a.png", 41, 32)
    assert common_scale(pairs_in(tmp_path)) == 4
    keep(tmp_path / "LR" / "b.png", 20, 16)
    keep(tmp_path / "HR" / "b.png", 40, 32)
    with pytest.raises(BadParams, match="apart, as most pairs are"):
        common_scale(pairs_in(tmp_path))


def test_grey_of_sixteen_bits_keeps_its_levels(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    for side in ("LR", "HR"):
        (tmp_path / side).mkdir()
        Image.fromarray(grey).save(tmp_path / side / "a.png")
    (row,) = _rows(pairs_in(tmp_path))

    assert (row["image"] == grey[..., None] // 257).all()
    assert row["reference"].shape == (16, 16, 3)


def test_a_figure_is_a_mean_of_what_there_is_with_its_interval() -> None:
    shown = figure([1.0, 2.0, 3.0, None, float("inf")])

    assert shown == {"mean": 2.0, "plus_minus": pytest.approx(1.96 / 3**0.5), "pictures": 3}
    assert figure([None])["mean"] is None


def test_the_bench_measures_what_lanczos_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMGTOOL_PLUGINS", "imgtool-sr,imgtool-score")
    keep(tmp_path / "HR" / "a.png", 32, 24)
    keep(tmp_path / "LR" / "a.png", 16, 12)

    assert run(["bench", "sr", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scale"] == 2
    assert found["figures"]["ssim"]["mean"] == found["pairs"][0]["ssim"] > 0.5
    assert found["figures"]["psnr"]["pictures"] == 1
