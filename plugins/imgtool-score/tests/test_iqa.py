"""`score.iqa`: each measure against its formula, and that it moves as it should."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageFilter
from tiny_scorers import pictures

from imgtool.api import BadParams, Batch, ModelUnusable
from imgtool_score.looks import Iqa, IqaParams
from imgtool_score.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Any]


def scores(opened: Open, measure: str, images: list[np.ndarray]) -> list[float]:
    batch = Batch(tuple(map(str, range(len(images)))), {"image": images})
    found: list[float] = opened(Iqa, IqaParams(measure=measure)).process(batch)["score.iqa"]
    return found


def textured() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)


def test_sharpness_is_the_variance_of_the_laplacian(opened: Open) -> None:
    image = textured()
    y = 0.299 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]
    windows = np.lib.stride_tricks.sliding_window_view(y, (3, 3))
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    expected = (windows * kernel).sum((2, 3)).var()
    assert scores(opened, "sharpness", [image])[0] == pytest.approx(expected, rel=1e-9)


def test_noise_is_the_estimate_of_immerkaer(opened: Open) -> None:
    image = textured()
    y = 0.299 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]
    windows = np.lib.stride_tricks.sliding_window_view(y, (3, 3))
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    total = np.abs((windows * kernel).sum((2, 3))).sum()
    height, width = y.shape
    expected = math.sqrt(math.pi / 2) * total / (6 * (width - 2) * (height - 2))
    assert scores(opened, "noise", [image])[0] == pytest.approx(expected, rel=1e-9)


def test_noise_is_measured_in_steps(opened: Open) -> None:
    rng = np.random.default_rng(1)
    grey = np.clip(128 + rng.normal(0, 10, (200, 200)), 0, 255).astype(np.uint8)
    found = scores(opened, "noise", [np.repeat(grey[..., None], 3, 2)])[0]
    assert found == pytest.approx(10, abs=0.5)


def test_contrast_of_half_black_half_white_is_a_half(opened: Open) -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    image[5:] = 255
    assert scores(opened, "contrast", [image])[0] == pytest.approx(0.5)


def test_colourfulness_is_that_of_opponent_colours(opened: Open) -> None:
    image = textured()
    r, g, b = (image[..., channel].astype(float) for channel in range(3))
    rg, yb = r - g, (r + g) / 2 - b
    spread = (rg.var() + yb.var()) ** 0.5
    expected = spread + 0.3 * (rg.mean() ** 2 + yb.mean() ** 2) ** 0.5
    grey = np.repeat(image[..., :1], 3, 2)
    found = scores(opened, "colourfulness", [image, grey])
    assert found == pytest.approx([expected, 0], rel=1e-9, abs=1e-9)


def test_blockiness_sees_the_grid_of_jpeg(opened: Open, tmp_path: Path) -> None:
    image = pictures(1, size=(96, 96))[0]
    Image.fromarray(image).save(tmp_path / "low.jpg", quality=5)
    packed = np.asarray(Image.open(tmp_path / "low.jpg"))
    clean, blocky = scores(opened, "blockiness", [image, packed])
    assert clean == pytest.approx(1, abs=0.15)
    assert blocky > 1.5


def test_sharpness_falls_as_blur_grows(opened: Open) -> None:
    for seed in range(10):
        image = Image.fromarray(pictures(1, seed=seed)[0])
        blurred = [np.asarray(image.filter(ImageFilter.GaussianBlur(r))) for r in (0, 1, 2, 4)]
        found = scores(opened, "sharpness", blurred)
        assert found == sorted(found, reverse=True)


def test_clipiqa_is_the_chance_of_the_good_words(tiny_clip: Path, opened: Open) -> None:
    from transformers import AutoTokenizer, CLIPModel

    stage = opened(Iqa, IqaParams(measure="clipiqa", clip=str(tiny_clip)))
    images = pictures(3)
    done = stage.process(Batch(("a", "b", "c"), {"image": images}))
    net = CLIPModel.from_pretrained(tiny_clip).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_clip)
    pixels = Preprocess.read(tiny_clip, 32)(images)
    logits = []
    for text in ("Good photo.", "Bad photo."):
        ids = tokenizer([text], return_tensors="pt").input_ids
        logits.append(net(input_ids=ids, pixel_values=pixels).logits_per_image.detach().double())
    good, bad = (value[:, 0].numpy() for value in logits)
    assert done["score.iqa"] == pytest.approx(1 / (1 + np.exp(bad - good)), abs=1e-5)
    assert done["score_info.iqa"][0]["range"] == [0.0, 1.0]


def test_record_says_measure_and_direction(opened: Open) -> None:
    batch = Batch(("a",), {"image": [textured()]})
    record = opened(Iqa, IqaParams(measure="noise")).process(batch)["score_info.iqa"][0]
    assert (record["measure"], record["better"]) == ("noise", "lower")


def test_batch_equals_singles(opened: Open) -> None:
    images = pictures(3)
    assert scores(opened, "sharpness", images) == [
        scores(opened, "sharpness", [image])[0] for image in images
    ]


def test_picture_of_one_pixel_has_no_score(opened: Open) -> None:
    batch = Batch(("a", "b"), {"image": [np.zeros((1, 1, 3), np.uint8), textured()]})
    done = opened(Iqa, IqaParams()).process(batch)
    assert done["score.iqa"][0] is None
    assert done["score.iqa"][1] > 0
    assert "less than 3 pixels" in done["score_info.iqa"][0]["error"]


def test_unknown_measure_names_those_there_are(opened: Open) -> None:
    with pytest.raises(BadParams, match="no measure 'sharpnes'") as caught:
        opened(Iqa, IqaParams(measure="sharpnes"))
    assert "sharpness" in caught.value.hint


def test_pyiqa_is_asked_for_where_it_is_missing(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(ModelUnusable, match="needs pyiqa") as caught:
        opened(Iqa, IqaParams(measure="pyiqa:niqe"))
    assert "forbids commercial use" in caught.value.hint


def test_pyiqa_measure_keeps_its_direction(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyiqa.py").write_text(
        "class Metric:\n"
        "    lower_better = True\n"
        "    def __call__(self, pictures):\n"
        "        return pictures.mean()\n"
        "def create_metric(name, device):\n"
        "    assert name == 'niqe', f'no metric {name}'\n"
        "    return Metric()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pyiqa", raising=False)
    image = textured()
    batch = Batch(("a",), {"image": [image]})
    done = opened(Iqa, IqaParams(measure="pyiqa:niqe")).process(batch)
    assert done["score.iqa"][0] == pytest.approx(image.mean() / 255, abs=1e-5)
    assert done["score_info.iqa"][0]["better"] == "lower"
    with pytest.raises(ModelUnusable, match="cannot make 'nique'"):
        opened(Iqa, IqaParams(measure="pyiqa:nique"))
    monkeypatch.delitem(sys.modules, "pyiqa")
