"""Checkpoints in OpenCLIP's layout load as the CLIPModel that they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_scorers import pictures

from imgtool.api import Batch, ModelUnusable
from imgtool_score.preprocess import BILINEAR, Preprocess
from imgtool_score.similarity import Clip, ClipParams, Hps, HpsParams
from imgtool_score.tiny import save_clip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Any]


def written_as_openclip(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a CLIPModel folder under OpenCLIP's names, made from its modules."""
    from transformers import CLIPModel

    net = CLIPModel.from_pretrained(folder)
    found = {
        "positional_embedding": net.text_model.embeddings.position_embedding.weight,
        "token_embedding.weight": net.text_model.embeddings.token_embedding.weight,
        "text_projection": net.text_projection.weight.T,
        "logit_scale": net.logit_scale,
        "visual.class_embedding": net.vision_model.embeddings.class_embedding,
        "visual.conv1.weight": net.vision_model.embeddings.patch_embedding.weight,
        "visual.positional_embedding": net.vision_model.embeddings.position_embedding.weight,
        "visual.proj": net.visual_projection.weight.T,
    }
    norms = (
        ("ln_final", net.text_model.final_layer_norm),
        ("visual.ln_pre", net.vision_model.pre_layrnorm),
        ("visual.ln_post", net.vision_model.post_layernorm),
    )
    found |= {f"{name}.{k}": v for name, norm in norms for k, v in norm.named_parameters()}
    for prefix, tower in (("", net.text_model), ("visual.", net.vision_model)):
        for number, layer in enumerate(tower.encoder.layers):
            found |= block(f"{prefix}transformer.resblocks.{number}", layer)
    return {name: tensor.detach().contiguous() for name, tensor in found.items()}


def block(name: str, layer: Any) -> dict[str, torch.Tensor]:
    attention = layer.self_attn
    thirds = (attention.q_proj, attention.k_proj, attention.v_proj)
    parts = {
        "attn.in_proj_weight": torch.cat([third.weight for third in thirds]),
        "attn.in_proj_bias": torch.cat([third.bias for third in thirds]),
    }
    modules = {
        "ln_1": layer.layer_norm1,
        "ln_2": layer.layer_norm2,
        "mlp.c_fc": layer.mlp.fc1,
        "mlp.c_proj": layer.mlp.fc2,
        "attn.out_proj": attention.out_proj,
    }
    for stem, module in modules.items():
        parts |= {f"{stem}.{kind}": value for kind, value in module.named_parameters()}
    return {f"{name}.{key}": value for key, value in parts.items()}


@pytest.fixture
def openclip(tiny_clip: Path, tmp_path: Path) -> Path:
    """A folder in OpenCLIP's layout with the weights of `tiny_clip`."""
    folder = tmp_path / "openclip"
    folder.mkdir()
    save_file(written_as_openclip(tiny_clip), folder / "open_clip_model.safetensors")
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        (folder / name).write_bytes((tiny_clip / name).read_bytes())
    settings = {"quick_gelu": True, "vision_cfg": {"head_width": 16}, "text_cfg": {"heads": 2}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": settings}))
    return folder


BATCH = Batch(("a", "b"), {"image": pictures(2), "prompt": ["a red cube", "two cones"]})


def test_folder_scores_as_the_model_it_was_written_from(
    tiny_clip: Path, openclip: Path, opened: Open
) -> None:
    ours = opened(Clip, ClipParams(model=str(openclip))).process(BATCH)["score.clip"]
    theirs = opened(Clip, ClipParams(model=str(tiny_clip))).process(BATCH)["score.clip"]
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_hpsv2_is_the_plain_cosine_of_its_checkpoint(
    tiny_clip: Path, openclip: Path, opened: Open
) -> None:
    found = opened(Hps, HpsParams(model=str(openclip))).process(BATCH)
    cosines = opened(Clip, ClipParams(model=str(tiny_clip))).process(BATCH)["score.clip"]
    assert found["score.hps"] == pytest.approx(cosines, abs=1e-5)
    assert found["score_info.hps"][0]["metric"] == "hps"


def test_single_file_needs_a_tokenizer_named_beside(
    openclip: Path, tiny_clip: Path, tmp_path: Path, opened: Open
) -> None:
    file = tmp_path / "alone" / "hps.safetensors"
    file.parent.mkdir()
    file.write_bytes((openclip / "open_clip_model.safetensors").read_bytes())
    with pytest.raises(ModelUnusable, match="without a tokenizer"):
        opened(Hps, HpsParams(model=str(file)))
    done = opened(Hps, HpsParams(model=str(file), tokenizer=str(tiny_clip))).process(BATCH)
    assert all(-1 <= value <= 1 for value in done["score.hps"])


def test_file_that_lacks_a_tower_is_refused(openclip: Path, tmp_path: Path, opened: Open) -> None:
    weights = load_file(openclip / "open_clip_model.safetensors")
    del weights["visual.proj"]
    save_file(weights, openclip / "open_clip_model.safetensors")
    with pytest.raises(ModelUnusable, match="visual_projection"):
        opened(Clip, ClipParams(model=str(openclip)))


def test_clip_of_other_weights_scores_otherwise(
    tiny_clip: Path, tmp_path: Path, opened: Open
) -> None:
    other = save_clip(tmp_path / "other", seed=5)
    one = opened(Clip, ClipParams(model=str(tiny_clip))).process(BATCH)["score.clip"]
    two = opened(Clip, ClipParams(model=str(other))).process(BATCH)["score.clip"]
    assert abs(one[0] - two[0]) > 1e-3


def test_openclip_folder_says_how_pictures_are_prepared(tmp_path: Path) -> None:
    assert Preprocess.read(tmp_path, 32) == Preprocess.of_size(32)
    told = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bilinear",
            "resize_mode": "squash"}  # fmt: skip
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"preprocess_cfg": told}))
    found = Preprocess.read(tmp_path, 32)
    assert found == Preprocess(32, 32, 0, BILINEAR, (0.5,) * 3, (0.25,) * 3)


def test_the_ends_of_a_strip_change_nothing_of_its_middle() -> None:
    drawn = np.random.default_rng(1).integers(0, 256, (8, 4000, 3), dtype=np.uint8)
    other = drawn.copy()
    other[:, :1500] = 0
    seen = Preprocess.of_size(32)([drawn, other, drawn[:, 1936:2064]])

    assert (seen[0] == seen[1]).all()
    assert (seen[0] - seen[2]).abs().max() < 1e-6
    assert Preprocess.of_size(32)([drawn.swapaxes(0, 1)]).shape == (1, 3, 32, 32)
