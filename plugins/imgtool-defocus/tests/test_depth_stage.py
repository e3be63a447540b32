"""`depth.auto` on tiny models of every class that it knows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
import torch
from PIL import Image

from imgtool.api import BadParams, Batch, ModelUnusable, Runtime
from imgtool.cli.main import run
from imgtool.registry import Registry
from imgtool_defocus.depth_stage import Auto, DepthParams
from imgtool_defocus.tiny import save_depth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Open: TypeAlias = Callable[..., Auto]

HEIGHT, WIDTH = 24, 36
MODELS: dict[str, tuple[str, dict[str, object]]] = {
    "relative": ("depth_anything", {}),
    "metric": ("depth_anything", {"depth_estimation_type": "metric", "max_depth": 20}),
    "dpt": ("dpt", {}),
    "zoedepth": ("zoedepth", {}),
    "depth_pro": ("depth_pro", {}),
    "depth_pro without its field of view": ("depth_pro", {"use_fov_model": False}),
    "glpn": ("glpn", {}),
    "marigold": ("marigold", {}),
    "marigold of disparity": ("marigold", {"prediction_type": "disparity"}),
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("IMGTOOL_PLUGINS", "imgtool-defocus")
        return Registry.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny model, made when first asked for."""
    root = tmp_path_factory.mktemp("models")

    def of(model: str) -> Path:
        name, config = MODELS[model]
        path = root / model.replace(" ", "-")
        return path if path.exists() else save_depth(name, path, **config)

    return of


@pytest.fixture
def opened(registry: Registry, folder: Callable[[str], Path]) -> Iterator[Open]:
    stages: list[Auto] = []

    def open_stage(model: str, **params: Any) -> Auto:
        stage = Auto()
        runtime = Runtime(device="cpu", registry=registry).for_stage()
        stage.open(DepthParams(model=str(folder(model)), **params), runtime)
        stages.append(stage)
        return stage

    yield open_stage
    for stage in stages:
        stage.close()


def picture(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (height, width, 3), dtype=np.uint8)


def batch(*images: np.ndarray, seed: int = 0) -> Batch:
    ids = tuple(str(at) for at in range(len(images)))
    return Batch(ids, {"image": list(images), "seed": [seed] * len(ids)})


def only(made: Batch) -> tuple[np.ndarray, str, dict[str, Any]]:
    (facts,) = made["depth_by"]
    assert isinstance(facts, dict)
    return made.arrays("depth")[0], made.texts("depth_kind")[0], facts


@pytest.mark.parametrize(("model", "kind"), [
    ("relative", "disparity"),
    ("metric", "metric"),
    ("dpt", "disparity"),
    ("zoedepth", "metric"),
    ("depth_pro", "metric"),
    ("depth_pro without its field of view", "disparity"),
    ("glpn", "metric"),
    ("marigold", "relative"),
    ("marigold of disparity", "disparity"),
])  # fmt: skip
def test_every_model_says_what_its_numbers_are_at_the_size_of_the_picture(
    opened: Open, model: str, kind: str
) -> None:
    depth, said, facts = only(opened(model).process(batch(picture())))

    assert (depth.shape, depth.dtype, said) == ((HEIGHT, WIDTH), np.float32, kind)
    assert np.isfinite(depth).all()
    assert np.unique(depth).size > 10
    assert facts["class"].startswith(
        ("DepthAnything", "DPT", "Zoe", "DepthPro", "GLPN", "Marigold")
    )


def test_depth_is_what_the_model_alone_gives(opened: Open, folder: Callable[[str], Path]) -> None:
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    image = picture(32, 32)
    depth, _, facts = only(opened("relative").process(batch(image)))
    processor = AutoImageProcessor.from_pretrained(folder("relative"), backend="pil")
    net = AutoModelForDepthEstimation.from_pretrained(folder("relative"))
    with torch.no_grad():
        seen = net(**processor(images=image, return_tensors="pt")).predicted_depth[0]

    assert facts["looked_at"] == [32, 32]
    np.testing.assert_allclose(depth, seen.numpy(), rtol=1e-5, atol=1e-6)


def test_depth_pro_is_metric_by_the_field_of_view_it_sees(
    opened: Open, folder: Callable[[str], Path]
) -> None:
    from transformers import DepthProForDepthEstimation

    image = picture(32, 32)
    depth, _, facts = only(opened("depth_pro").process(batch(image)))
    net = DepthProForDepthEstimation.from_pretrained(folder("depth_pro"))
    pixels = torch.tensor(image).permute(2, 0, 1)[None] / 127.5 - 1.0
    with torch.no_grad():
        seen = net(pixels)
    focal_px = 16 / np.tan(np.radians(float(seen.field_of_view[0]) / 2))
    metres = 1 / (seen.predicted_depth[0].numpy() * 32 / focal_px).clip(1e-4, 1e4)

    assert facts["focal_px"] == pytest.approx(focal_px, rel=1e-5)
    assert depth.max() <= metres.max() * (1 + 1e-5)
    assert np.isin(depth.round(3), metres.round(3)).mean() > 0.3  # at edges, the nearest


def test_zoedepth_sees_the_picture_without_its_padding(opened: Open) -> None:
    stage = opened("zoedepth")
    seen = stage.model(picture(), torch.Generator())
    rows, columns = (int((side / 2) ** 0.5 * 3) for side in (HEIGHT, WIDTH))

    assert seen.margin == (rows / (HEIGHT + 2 * rows), columns / (WIDTH + 2 * columns))


@pytest.mark.parametrize("model", ["relative", "marigold"])
def test_a_row_is_the_same_alone_and_beside_pictures_of_other_sizes(
    opened: Open, model: str
) -> None:
    stage = opened(model)
    together = stage.process(batch(picture(40, 16), picture(), picture(8, 8)))
    alone = stage.process(batch(picture()))

    np.testing.assert_array_equal(together.arrays("depth")[1], alone.arrays("depth")[0])


def test_marigold_depends_on_the_seed_and_on_nothing_else(opened: Open) -> None:
    stage = opened("marigold")
    one, again, other = (only(stage.process(batch(picture(), seed=seed)))[0] for seed in (1, 1, 2))

    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_marigold_takes_steps_sizes_and_ensembles(opened: Open) -> None:
    few = only(opened("marigold").process(batch(picture())))
    many = only(opened("marigold", steps=3, size=16, ensemble=3).process(batch(picture())))

    assert (few[2]["steps"], few[2]["looked_at"]) == (2, [32, 21])
    assert (many[2]["steps"], many[2]["ensemble"], many[2]["looked_at"]) == (3, 3, [16, 10])


def test_a_net_looks_at_the_size_that_was_asked(opened: Open) -> None:
    assert only(opened("relative", size=48).process(batch(picture())))[2]["looked_at"] == [48, 48]


def test_a_map_without_units_becomes_metric_by_another_model(
    opened: Open, folder: Callable[[str], Path]
) -> None:
    metres = only(opened("glpn").process(batch(picture())))[0]
    stage = opened("relative", metric_from=str(folder("glpn")))
    stage.model = Inverted(stage.metric)
    depth, kind, facts = only(stage.process(batch(picture())))

    assert (kind, facts["metric_from"]) == ("metric", str(folder("glpn")))
    assert (facts["scale"], facts["shift"]) == pytest.approx((2.0, 0.5), rel=1e-3)
    np.testing.assert_allclose(depth, metres, rtol=1e-3)


class Inverted:
    """Disparity of a metric model, scaled and shifted."""

    kind, name = "disparity", "Inverted"

    def __init__(self, metric: Any) -> None:
        self.metric = metric

    def __call__(self, image: np.ndarray, generator: torch.Generator) -> Any:
        seen = self.metric(image, generator)
        return replace(seen, values=(1 / seen.values - 0.5) / 2)


@pytest.mark.parametrize(("model", "params", "reason"), [
    ("relative", {"steps": 4}, "a depth_anything estimates depth in one pass"),
    ("glpn", {"size": 64}, "a glpn looks at its own size"),
    ("marigold", {"size": 33}, "--size 33 is no multiple of 4"),
])  # fmt: skip
def test_what_a_model_does_not_take_is_refused(
    opened: Open, model: str, params: dict[str, int], reason: str
) -> None:
    with pytest.raises(BadParams, match=reason):
        opened(model, **params)


def test_metres_are_asked_of_a_model_of_metres_for_one_that_has_none(
    opened: Open, folder: Callable[[str], Path]
) -> None:
    with pytest.raises(BadParams, match="it estimates disparity depth"):
        opened("relative", metric_from=str(folder("dpt")))
    with pytest.raises(BadParams, match="estimates metres itself"):
        opened("glpn", metric_from=str(folder("glpn")))


@pytest.mark.parametrize(("file", "says", "reason"), [
    ("model_index.json", {"_class_name": "StableDiffusionPipeline"}, "estimates no depth"),
    ("config.json", {"model_type": "clip"}, "what a clip estimates is not known here"),
    ("notes.json", {}, "no folder of transformers or diffusers"),
])  # fmt: skip
def test_models_of_something_else_are_refused(
    registry: Registry, tmp_path: Path, file: str, says: dict[str, str], reason: str
) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / file).write_text(json.dumps(says))
    stage = Auto()

    with pytest.raises(ModelUnusable, match=reason):
        stage.open(DepthParams(model=str(tmp_path)), Runtime(device="cpu", registry=registry))


def test_depth_that_is_no_number_fails_its_row_by_name(opened: Open) -> None:
    stage = opened("relative")
    with torch.no_grad():
        stage.model.net.head.conv3.bias.fill_(float("nan"))  # type: ignore[attr-defined]
    try:
        made = stage.process(batch(picture()))
    finally:
        stage.model.net.head.conv3.bias.data.zero_()  # type: ignore[attr-defined]

    assert made.ids == ()
    assert "NaN" in made.failures["0"].reason


def test_the_command_writes_depth_that_defocus_reads(
    folder: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGTOOL_PLUGINS", "imgtool-defocus")
    Image.fromarray(picture()).save("photo.png")
    words = ["depth", "photo.png", "--model", str(folder("glpn")), "--device", "cpu", "-o"]
    statuses = [run([*words, f"d.{suffix}"]) for suffix in ("png", "npy", "ply", "jpg")]
    capfd.readouterr()
    done = run(["defocus", "photo.png", "--depth", "d.png", "--json"])

    assert (statuses, done) == ([0, 0, 0, 2], 0)
    row = json.loads(capfd.readouterr().out)
    assert (row["depth_kind"], row["defocus"]["depth_kind"]) == ("metric", "metric")
    assert np.load("d.npy").shape == (HEIGHT, WIDTH)


def test_the_default_is_one_line_where_its_weights_are_not_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGTOOL_PLUGINS", "imgtool-defocus")
    Image.fromarray(picture()).save("photo.png")

    assert run(["depth", "photo.png", "-o", "d.png"]) != 0
    assert "'tabletop/depth'" in capfd.readouterr().err.splitlines()[0]
