"""The focus on what is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from lens_rows import batch, facts, halves, opened, picture
from transformers import CLIPSegForImageSegmentation

from imgtool.api import BadParams, ModelUnusable, Runtime
from imgtool.registry import Registry
from imgtool_defocus.naming import SHARE, load, missing
from imgtool_defocus.tiny import save_depth, save_finder
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world.batch import gather
from imgtool_tabletop.world.render import measure, render
from imgtool_tabletop.world.sample import BROAD

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("IMGTOOL_PLUGINS", "imgtool-defocus,imgtool-tabletop")
        loaded = Registry.load()
        loaded.specs("stage")
        return loaded


def test_what_is_missed_most_is_where_similarity_comes_from() -> None:
    seen = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)) / 4
    seen[0, 4:12, 18:26] = 1.0

    def redness(pictures: Tensor) -> Tensor:
        return (pictures[:, 0] - pictures[:, 1]).clamp_min(0).mean((1, 2))

    missed = missing(redness, seen, Runtime("cpu"))
    row, column = divmod(int(missed.argmax()), 32)

    assert missed.shape == (32, 32)
    assert 4 <= row < 12
    assert 18 <= column < 26


def test_memory_that_holds_one_picture_at_a_time_finds_the_same() -> None:
    seen = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    asked = []

    def first(pictures: Tensor) -> Tensor:
        asked.append(len(pictures))
        if len(pictures) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pictures[:, 0, 10, 12]

    small = missing(first, seen, Runtime("cpu"))

    assert asked[1] > 1
    torch.testing.assert_close(small, missing(lambda p: p[:, 0, 10, 12], seen, Runtime("cpu")))


def test_the_focus_is_on_the_solid_that_is_named(registry: Registry) -> None:
    scene = scene_at(5, 23, BROAD, held_out=True)
    image = render([scene], 96)[0].permute(1, 2, 0).mul(255).round().byte().numpy()
    depth = measure(gather([scene]), 96).depth[0].numpy()
    for solid in scene.solids:
        stage = opened(
            registry, focus_on=f"{solid.colour} {solid.shape}", focus_model="tabletop/clip"
        )
        found = facts(stage.process(batch(depth).with_columns(image=[image])))
        axis_m = scene.camera.project(solid.centre)[2]

        assert abs(found["focus_m"] - axis_m) <= solid.radius
        assert found["focus_share"] == pytest.approx(SHARE, abs=0.01)


def test_a_mask_says_where_a_thing_is_or_that_it_is_not(tmp_path: Path, registry: Registry) -> None:
    folder = save_finder("clipseg", tmp_path / "model")
    code = torch.from_numpy(picture()).permute(2, 0, 1) / 255
    logits = _logits(folder, code)
    net = CLIPSegForImageSegmentation.from_pretrained(folder)
    for shift, expected in ((float(logits.median()), None), (float(logits.max()) + 1, "no 'cube'")):
        with torch.no_grad():
            net.decoder.transposed_convolution.bias.sub_(shift)
        net.save_pretrained(folder)
        stage = opened(registry, focus_on="cube", focus_model=str(folder))
        made = stage.process(batch(halves()))
        if expected is None:
            assert facts(made)["focus_m"] in (1.0, 10.0)
            assert facts(made)["focus_share"] == pytest.approx(0.5, abs=0.1)
        else:
            assert expected in made.failures["0"].reason


def _logits(folder: Path, code: Tensor) -> Tensor:
    eyes: Any = load(folder, torch.device("cpu"))
    eyes = eyes.eyes
    with torch.inference_mode():
        pixels = eyes.normalised(eyes.resized(code)[None])
        found: Tensor = eyes.net(pixel_values=pixels, **eyes.tokens("cube")).logits
    return found


def test_any_clip_finds_something(tmp_path: Path, registry: Registry) -> None:
    folder = save_finder("clip", tmp_path / "model")
    made = opened(registry, focus_on="red cube", focus_model=str(folder)).process(batch(halves()))

    assert facts(made)["focus_m"] in (1.0, 10.0)
    assert facts(made)["focus_on"] == "red cube"


def test_a_series_looks_once(tmp_path: Path, registry: Registry) -> None:
    folder = save_finder("clip", tmp_path / "model")
    named: dict[str, Any] = {"focus_on": "red cube", "focus_model": str(folder)}
    stage, asked = opened(registry, **named, f_numbers=(2.0, 4.0)), []
    find = stage.find
    assert find is not None

    def counted(*asked_for: Any) -> Tensor:
        asked.append(asked_for)
        return find(*asked_for)

    stage.find = counted

    assert len(stage.process(batch(halves()))) == 2
    assert len(asked) == 1


@pytest.mark.parametrize(("params", "reason"), [
    ({"focus_on": "dog"}, "--focus-on and --focus-model go together"),
    ({"focus_model": "tabletop/clip"}, "--focus-on and --focus-model go together"),
    ({"focus_on": "dog", "focus_at": "2m"}, "two focuses"),
    ({"focus_on": "dog", "rack": "1m..2m:3"}, "two focuses"),
])  # fmt: skip
def test_a_name_needs_a_model_and_no_other_focus(
    registry: Registry, params: dict[str, str], reason: str
) -> None:
    with pytest.raises(BadParams, match=reason):
        opened(registry, **params)


def test_a_model_of_something_else_is_refused(tmp_path: Path, registry: Registry) -> None:
    folder = save_depth("glpn", tmp_path / "depth")
    with pytest.raises(ModelUnusable, match="a glpn finds nothing by name here"):
        opened(registry, focus_on="dog", focus_model=str(folder))
