"""`sr.pocketsr` on a tiny net: any size, in tiles, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from imgtool.api import Batch, ModelUnusable, Runtime
from imgtool_sr.pocketsr.config import SIZES
from imgtool_sr.pocketsr.model import PocketSR, save_pocketsr
from imgtool_sr.pocketsr.stage import PocketParams, Pocketsr
from imgtool_sr.tiny import save_compact, save_pocket

if TYPE_CHECKING:
    from pathlib import Path


def picture(height: int, width: int) -> np.ndarray:
    small = np.random.default_rng(height).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def opened(**params: Any) -> Pocketsr:
    stage = Pocketsr()
    stage.open(PocketParams(**params), Runtime(device="cpu", dtype="float32"))
    return stage


def enlarged(stage: Pocketsr, *images: np.ndarray) -> list[np.ndarray]:
    ids = tuple(str(at) for at in range(len(images)))
    made = stage.process(Batch(ids, {"image": list(images), "seed": [0] * len(ids)}))
    return list(made.arrays("image"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_pocket(tmp_path_factory.mktemp("models") / "pocketsr"))


@pytest.mark.parametrize(("params", "size"), [
    ({}, (26, 62)), ({"scale": 1.5}, (20, 47)), ({"scale": 6}, (78, 186)),
    ({"scale": 0.5}, (7, 16)), ({"size": "70x20"}, (20, 70)),
])  # fmt: skip
def test_any_size_is_restored(model: str, params: dict[str, Any], size: tuple[int, int]) -> None:
    assert enlarged(opened(model=model, **params), picture(13, 31))[0].shape == (*size, 3)


def test_a_net_that_adds_nothing_gives_bicubic_interpolation(tmp_path: Path) -> None:
    save_pocketsr(PocketSR(SIZES["tiny"]), tmp_path)
    image = picture(20, 30)
    made = enlarged(opened(model=str(tmp_path), scale=3), image)[0]
    wanted = Image.fromarray(image).resize((90, 60), Image.Resampling.BICUBIC)

    assert (made == np.asarray(wanted)).all()


def test_the_net_changes_pictures_and_the_record_says_by_what(model: str) -> None:
    stage = opened(model=model)
    image = picture(20, 30)
    made = stage.process(Batch(("0",), {"image": [image], "seed": [0]}))
    bicubic = Image.fromarray(image).resize((60, 40), Image.Resampling.BICUBIC)

    assert np.abs(made.arrays("image")[0].astype(int) - np.asarray(bicubic)).mean() > 2
    facts: Any = made["sr"][0]
    assert (facts["model"], facts["tiles_equal_whole"]) == (model, False)


def test_tiles_differ_from_the_whole_by_a_level_at_most(model: str) -> None:
    image = picture(150, 170)
    whole = enlarged(opened(model=model, tile=512), image)[0].astype(int)
    tiles = enlarged(opened(model=model, tile=256), image)[0]
    cut = enlarged(opened(model=model, tile=64, overlap=0), image)[0]

    assert np.abs(tiles - whole).max() <= 1
    assert np.abs(cut - whole).max() > 1


def test_a_row_is_the_same_alone_and_beside_others(model: str) -> None:
    stage, images = opened(model=model, tile_batch=3), [picture(31, 70), picture(1, 1)]
    together = enlarged(stage, *images)
    for image, made in zip(images, together, strict=True):
        assert np.abs(enlarged(stage, image)[0].astype(int) - made).max() <= 1


def test_other_models_are_refused(tmp_path: Path) -> None:
    save_compact(tmp_path / "model.safetensors")
    with pytest.raises(ModelUnusable, match=r"no PocketSR model: it has no config\.json"):
        opened(model=str(tmp_path))


def test_nets_that_see_whole_pictures_warn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from dataclasses import replace

    torch.manual_seed(0)
    save_pocketsr(PocketSR(replace(SIZES["tiny"], gate_window=0)), tmp_path)
    opened(model=str(tmp_path))

    assert "looks at whole pictures" in caplog.text
