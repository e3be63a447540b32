"""`defocus.auto` as a stage, on a tiny network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from imgtool.api import Batch, ModelUnusable, Runtime
from imgtool.registry import Registry
from imgtool_defocus.auto.stage import Auto, AutoParams
from imgtool_defocus.auto.tiny import save_tiny

if TYPE_CHECKING:
    from pathlib import Path

HEIGHT, WIDTH = 24, 36


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("IMGTOOL_PLUGINS", "imgtool-defocus")
        loaded = Registry.load()
        loaded.specs("stage")
        return loaded


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("models") / "focus"))


def opened(registry: Registry, **params: Any) -> Auto:
    stage = Auto()
    stage.open(AutoParams(focal_length="85mm", **params), Runtime("cpu", registry=registry))
    return stage


def batch() -> Batch:
    """A picture whose left half is at 1 m and whose right half is at 10 m."""
    picture = np.random.default_rng(4).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    depth = np.full((HEIGHT, WIDTH), 10.0, dtype=np.float32)
    depth[:, : WIDTH // 2] = 1.0
    return Batch(("0",), {"image": [picture], "depth": [depth], "seed": [0]})


def test_the_focus_is_on_something_in_the_picture_and_said(registry: Registry, model: str) -> None:
    made = opened(registry, model=model).process(batch())
    facts: Any = made["defocus"][0]
    (saliency,) = made.arrays("saliency")

    assert facts["focus_m"] in (1.0, 10.0)
    assert facts["focus_average"] == "median"
    assert saliency.shape == (HEIGHT, WIDTH)
    assert ((saliency > 0) & (saliency < 1)).all()


def test_the_aperture_is_a_slider_and_the_scene_stays(registry: Registry, model: str) -> None:
    series = opened(registry, model=model, f_numbers=(1.4, 2.8, 5.6, 11.0)).process(batch())
    facts: list[Any] = list(series["defocus"])
    in_focus = series.arrays("coc")[0] == 0
    (source,) = batch().arrays("image")

    assert series.ids == ("0.0", "0.1", "0.2", "0.3")
    assert len({record["focus_m"] for record in facts}) == 1
    assert in_focus.any()
    assert all((image[in_focus] == source[in_focus]).all() for image in series.arrays("image"))
    sharpness = [
        np.diff(image[~in_focus].astype(float), axis=0).var() for image in series.arrays("image")
    ]
    assert sharpness == sorted(sharpness)
    assert len(set(sharpness)) == 4


def test_a_mean_of_depth_can_be_asked_for(registry: Registry, model: str) -> None:
    made = opened(registry, model=model, focus_average="depth").process(batch())
    facts: Any = made["defocus"][0]

    assert 1.0 < facts["focus_m"] < 10.0


def test_a_folder_of_something_else_is_refused(registry: Registry, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnusable, match="no focus network"):
        opened(registry, model=str(tmp_path))
