"""`depth.ppd` on a tiny net: what it gives, what that depends on, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from imgtool.api import BadParams, Batch, ModelUnusable, Runtime
from imgtool.cli.main import run
from imgtool.registry import Registry
from imgtool_defocus.depth_stage import Auto, DepthParams
from imgtool_defocus.ppd.checkpoint import load_ppd, save_ppd
from imgtool_defocus.ppd.quality import fitted_errors, mean_of
from imgtool_defocus.ppd.stage import Ppd, PpdParams
from imgtool_defocus.tiny import save_depth
from imgtool_defocus.tiny import save_ppd as save_tiny

if TYPE_CHECKING:
    from pathlib import Path

HEIGHT, WIDTH = 24, 36


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("IMGTOOL_PLUGINS", "imgtool-defocus")
        return Registry.load()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "ppd")


@pytest.fixture(scope="module")
def regression(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(model, tmp_path_factory.mktemp("models") / "regression")
    net = load_ppd(folder)
    net.config = replace(net.config, objective="regression")
    save_ppd(net, folder)
    return folder


def opened(registry: Registry, model: Path | str, **params: Any) -> Ppd:
    stage = Ppd()
    runtime = Runtime(device="cpu", dtype="float32", registry=registry).for_stage()
    stage.open(PpdParams(model=str(model), **params), runtime)
    return stage


def picture(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (height, width, 3), dtype=np.uint8)


def batch(*images: np.ndarray, seed: int = 0) -> Batch:
    ids = tuple(str(at) for at in range(len(images)))
    return Batch(ids, {"image": list(images), "seed": [seed] * len(ids)})


def depth(stage: Ppd | Auto, seed: int = 0) -> np.ndarray:
    return stage.process(batch(picture(), seed=seed)).arrays("depth")[0]


def test_depth_is_affine_in_its_logarithm_and_of_the_pictures_size(
    registry: Registry, model: Path
) -> None:
    made = opened(registry, model).process(batch(picture()))
    (values,), (facts,) = made.arrays("depth"), made["depth_by"]

    assert (values.shape, values.dtype) == ((HEIGHT, WIDTH), np.float32)
    assert made.texts("depth_kind") == ["logdepth"]
    assert np.isfinite(values).all()
    assert np.unique(values).size > 10
    assert isinstance(facts, dict)
    assert (facts["class"], facts["steps"]) == ("CascadeTransformer", 4)
    assert facts["looked_at"] == [80, 56]


def test_a_row_is_the_same_alone_and_beside_pictures_of_other_sizes(
    registry: Registry, model: Path
) -> None:
    stage = opened(registry, model)
    together = stage.process(batch(picture(40, 16), picture(), picture(8, 8)))

    np.testing.assert_array_equal(together.arrays("depth")[1], depth(stage))


def test_depth_depends_on_the_seed_steps_and_size(registry: Registry, model: Path) -> None:
    stage = opened(registry, model)
    few, small = opened(registry, model, steps=2), opened(registry, model, size=32)

    np.testing.assert_array_equal(depth(stage, 1), depth(stage, 1))
    assert not np.array_equal(depth(stage, 1), depth(stage, 2))
    assert not np.array_equal(depth(few, 1), depth(stage, 1))
    assert small.process(batch(picture()))["depth_by"][0]["looked_at"] == [32, 24]  # type: ignore[index,call-overload]


def test_a_regression_draws_no_noise_and_has_no_steps(registry: Registry, regression: Path) -> None:
    stage = opened(registry, regression)

    np.testing.assert_array_equal(depth(stage, 1), depth(stage, 2))
    with pytest.raises(BadParams, match="is a regression, of one step"):
        opened(registry, regression, steps=4)


def test_depth_auto_knows_the_model_by_its_files(registry: Registry, model: Path) -> None:
    auto, runtime = Auto(), Runtime(device="cpu", dtype="float32", registry=registry)
    auto.open(DepthParams(model=str(model)), runtime)

    np.testing.assert_array_equal(depth(auto), depth(opened(registry, model)))
    with pytest.raises(BadParams, match="has no ensembles"):
        auto.open(DepthParams(model=str(model), ensemble=3), runtime)


def test_a_map_becomes_metric_by_another_model(
    registry: Registry, model: Path, tmp_path: Path
) -> None:
    metric = save_depth("glpn", tmp_path)
    stage = opened(registry, model, metric_from=str(metric))
    stage.model = Logarithm(stage.metric)
    made = stage.process(batch(picture()))
    facts: Any = made["depth_by"][0]

    assert made.texts("depth_kind") == ["metric"]
    assert (facts["metric_from"], facts["scale"]) == (str(metric), pytest.approx(2.0, rel=1e-3))


class Logarithm:
    """What a metric model gives, as maps of the flow are: affine in its logarithm."""

    kind, name = "logdepth", "Logarithm"

    def __init__(self, metric: Any) -> None:
        self.metric = metric

    def __call__(self, image: np.ndarray, generator: torch.Generator) -> Any:
        seen = self.metric(image, generator)
        return replace(seen, values=seen.values.log1p() / 2)


def test_the_shipped_model_finds_what_is_near_and_knows_its_encoder() -> None:
    runtime = Runtime(device="cpu", dtype="float32").for_stage()
    make: Any = runtime.component("picture-depths", "tabletop")
    pictures, metres = make(size=64, seed=94, held_out=True)(range(4))
    stage = Ppd()
    stage.open(PpdParams(), runtime)
    images = [picture.permute(1, 2, 0).numpy() for picture in pictures]
    maps = stage.process(batch(*images)).arrays("depth")
    found = [
        fitted_errors(torch.from_numpy(made), "logdepth", true, 0)
        for made, true in zip(maps, metres, strict=True)
    ]

    assert mean_of(found)["abs_rel"] < 0.08  # 0.044 over 50 scenes
    assert mean_of(found)["delta1"] > 0.9


def test_the_command_writes_a_map_that_says_its_kind(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGTOOL_PLUGINS", "imgtool-defocus")
    Image.fromarray(picture()).save("photo.png")
    words = ["depth.ppd", "photo.png", "--model", str(model), "--device", "cpu"]

    assert run([*words, "-o", "d.png", "--json"]) == 0
    assert json.loads(capfd.readouterr().out.splitlines()[0])["depth_kind"] == "logdepth"
    with Image.open("d.png") as written:
        assert written.size == (WIDTH, HEIGHT)


def test_models_of_something_else_are_refused(
    registry: Registry, model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model, tmp_path / "ppd")
    shutil.rmtree(folder / "semantics")

    with pytest.raises(ModelUnusable, match="has no semantics/, the encoder of its prompts"):
        opened(registry, folder)
    with pytest.raises(ModelUnusable, match="holds no Pixel-Perfect Depth: its weights have no"):
        opened(registry, model / "semantics")


def test_prompts_of_another_encoder_are_refused(
    registry: Registry, model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model, tmp_path / "ppd")
    shutil.rmtree(folder / "semantics")
    save_depth("depth_anything", folder / "semantics")

    with pytest.raises(ModelUnusable, match="gives prompts of 16 numbers, and the model takes 32"):
        opened(registry, folder)


def test_an_encoder_that_was_trained_on_since_is_refused(
    registry: Registry, model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model, tmp_path / "ppd")
    weights = load_file(folder / "semantics" / "model.safetensors")
    name = min(weights)
    save_file(
        weights | {name: weights[name] + 0.01}, folder / "semantics" / "model.safetensors",
        {"format": "pt"},
    )  # fmt: skip

    with pytest.raises(ModelUnusable, match="semantics' is not the encoder that the model was"):
        opened(registry, folder)
