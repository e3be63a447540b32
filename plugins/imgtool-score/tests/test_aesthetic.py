"""`score.aesthetic` and the fold of its head, against numpy."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tiny_scorers import pictures

from imgtool.api import Batch, ModelUnusable
from imgtool_score.aesthetic import Aesthetic, AestheticParams
from imgtool_score.head import INDICES, fold, layers
from imgtool_score.tiny import save_head

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Any]


def five_products(weights: dict[str, torch.Tensor], x: np.ndarray) -> float:
    """The head, layer by layer."""
    for index in INDICES:
        weight, bias = (weights[f"layers.{index}.{kind}"].numpy() for kind in ("weight", "bias"))
        x = weight.astype(np.float64) @ x + bias
    return float(x[0])


def test_folded_head_equals_the_five_layers(tmp_path: Path) -> None:
    weights = save_head(tmp_path / "head.safetensors", 768)
    w, b = fold(layers(weights))
    for x in (np.zeros(768), np.eye(768)[0], np.ones(768) / 768**0.5):
        assert b + w.numpy() @ x == pytest.approx(five_products(weights, x), abs=1e-5)


def test_score_is_the_head_over_the_unit_vector(
    tiny_clip: Path, tmp_path: Path, opened: Open
) -> None:
    head = tmp_path / "head.safetensors"
    weights = save_head(head, 16)
    stage = opened(Aesthetic, AestheticParams(head=str(head), model=str(tiny_clip)))
    images = pictures(3)
    found = stage.process(Batch(("a", "b", "c"), {"image": images}))
    vectors = raw_vectors(tiny_clip, stage, images)
    for at, vector in enumerate(vectors):
        unit = vector / np.sqrt(vector @ vector)
        assert found["score.aesthetic"][at] == pytest.approx(five_products(weights, unit), abs=1e-5)
        assert abs(five_products(weights, vector) - five_products(weights, unit)) > 1e-3


def raw_vectors(folder: Path, stage: Any, images: list[np.ndarray]) -> np.ndarray:
    from transformers import CLIPModel

    net = CLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        pooled = net.get_image_features(stage.encoder.preprocess(images)).pooler_output
    return pooled.double().numpy()


def test_scores_stay_within_the_recorded_range(
    tiny_clip: Path, tmp_path: Path, opened: Open
) -> None:
    head = tmp_path / "head.safetensors"
    save_head(head, 16)
    stage = opened(Aesthetic, AestheticParams(head=str(head), model=str(tiny_clip)))
    done = stage.process(Batch(("a", "b"), {"image": pictures(2)}))
    low, high = done["score_info.aesthetic"][0]["range"]
    assert all(low <= value <= high for value in done["score.aesthetic"])
    assert high - low == pytest.approx(2 * float(stage.weight.norm()))


def test_batch_equals_singles(tiny_clip: Path, tmp_path: Path, opened: Open) -> None:
    head = tmp_path / "head.safetensors"
    save_head(head, 16)
    stage = opened(Aesthetic, AestheticParams(head=str(head), model=str(tiny_clip)))
    batch = Batch(("a", "b"), {"image": pictures(2)})
    together = stage.process(batch)["score.aesthetic"]
    alone = [stage.process(batch.keep([at]))["score.aesthetic"][0] for at in range(2)]
    assert together == pytest.approx(alone, abs=1e-5)


def test_head_of_another_width_names_both(tiny_clip: Path, tmp_path: Path, opened: Open) -> None:
    head = tmp_path / "head.safetensors"
    save_head(head, 768)
    with pytest.raises(ModelUnusable, match=r"takes 768 numbers, .* gives 16"):
        opened(Aesthetic, AestheticParams(head=str(head), model=str(tiny_clip)))


def test_head_with_activations_between_is_refused(
    tiny_clip: Path, tmp_path: Path, opened: Open
) -> None:
    from safetensors.torch import save_file

    weights = save_head(tmp_path / "head.safetensors", 16)
    moved = {name.replace("layers.7.", "layers.8."): value for name, value in weights.items()}
    save_file(moved, tmp_path / "relu.safetensors")
    with pytest.raises(ModelUnusable, match=r"layers \[0, 2, 4, 6, 8\]"):
        opened(
            Aesthetic,
            AestheticParams(head=str(tmp_path / "relu.safetensors"), model=str(tiny_clip)),
        )


def test_shipped_head_over_the_shipped_clip_is_the_default(opened: Open) -> None:
    from safetensors.torch import load_file

    stage = opened(Aesthetic, AestheticParams())
    folder = stage.runtime.model("tabletop/aesthetic", "aesthetic-head").path
    weights = load_file(folder / "model.safetensors")
    images = pictures(2)
    found = stage.process(Batch(("a", "b"), {"image": images}))["score.aesthetic"]
    vectors = stage.encoder.images(images).double().numpy()
    wide = {name: value.float() for name, value in weights.items()}
    assert found == pytest.approx([five_products(wide, vector) for vector in vectors], abs=1e-5)


def test_head_of_another_clip_is_refused_where_it_says_which(
    tiny_clip: Path, tmp_path: Path, opened: Open
) -> None:
    head = tmp_path / "head"
    head.mkdir()
    save_head(head / "model.safetensors", 16)
    digest = sha256((tiny_clip / "model.safetensors").read_bytes()).hexdigest()
    params = AestheticParams(head=str(head), model=str(tiny_clip))
    (head / "config.json").write_text(json.dumps({"clip": digest}))
    assert len(opened(Aesthetic, params).weight) == 16
    (head / "config.json").write_text(json.dumps({"clip": "0" * 64}))
    with pytest.raises(ModelUnusable, match="trained over another CLIP"):
        opened(Aesthetic, params)
