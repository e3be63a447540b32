"""`score.imagereward` on a tiny checkpoint in the published names, against whole library nets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_scorers import pictures

from imgtool.api import Batch, ModelUnusable
from imgtool_score.imagereward import standard
from imgtool_score.reward import ImageReward, RewardParams
from imgtool_score.tiny import MEAN, STD, save_imagereward

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Any]

PROMPTS = ["a red cube", "two cones on a table"]


@pytest.fixture(scope="module")
def tiny_reward(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any, dict[str, Any]]:
    """A folder with a checkpoint and tokenizer, and the nets and head it was written from."""
    return save_imagereward(tmp_path_factory.mktemp("models") / "reward")


def rows(prompts: list[str] = PROMPTS) -> Batch:
    ids = tuple(map(str, range(len(prompts))))
    return Batch(ids, {"image": pictures(len(prompts)), "prompt": prompts})


def by_hand(made: tuple[Path, Any, Any, dict[str, Any]], image: np.ndarray, text: str) -> float:
    from transformers import AutoTokenizer

    folder, vision, words, head = made
    height, width, _ = image.shape
    short = min(height, width)
    picture = Image.fromarray(image).resize(
        (32 * width // short, 32 * height // short), Image.Resampling.BICUBIC
    )
    left, top = (picture.width - 32) // 2, (picture.height - 32) // 2
    cut = np.asarray(picture.crop((left, top, left + 32, top + 32)), np.float64) / 255
    pixels = torch.tensor((cut - MEAN) / STD).permute(2, 0, 1)[None].float()
    given = AutoTokenizer.from_pretrained(folder)(
        [text], truncation=True, max_length=35, padding="max_length", return_tensors="pt"
    )
    with torch.no_grad():
        seen = vision(pixels).last_hidden_state
        x = words(
            input_ids=given.input_ids,
            attention_mask=given.attention_mask,
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2]),
        ).last_hidden_state[0, 0]
    for index in (0, 2, 4, 6, 7):
        x = head[f"mlp.layers.{index}.weight"] @ x + head[f"mlp.layers.{index}.bias"]
    return (float(x) - 0.16717363) / 1.03333950


def test_reward_is_that_of_the_nets_with_padding(tiny_reward: Any, opened: Open) -> None:
    batch = rows()
    done = opened(ImageReward, RewardParams(model=str(tiny_reward[0]))).process(batch)
    for at, prompt in enumerate(PROMPTS):
        expected = by_hand(tiny_reward, batch["image"][at], prompt)
        assert done["score.imagereward"][at] == pytest.approx(expected, abs=1e-5)


def test_standard_scale_has_its_mean_and_deviation() -> None:
    assert standard(0.16717363) == 0
    assert standard(0.16717363 + 1.03333950) == pytest.approx(1)


def test_prompt_beyond_35_tokens_says_that_it_was_cut(tiny_reward: Any, opened: Open) -> None:
    batch = rows(["a red cube on a table " * 8, "a cube"])
    done = opened(ImageReward, RewardParams(model=str(tiny_reward[0]))).process(batch)
    record = done["score_info.imagereward"][0]
    assert (record["truncated"], record["limit"]) == (True, 35)
    assert record["tokens"] > 35
    assert "truncated" not in done["score_info.imagereward"][1]
    expected = by_hand(tiny_reward, batch["image"][0], batch["prompt"][0])
    assert done["score.imagereward"][0] == pytest.approx(expected, abs=1e-5)


def test_batch_equals_singles_and_no_prompt_no_score(tiny_reward: Any, opened: Open) -> None:
    batch = rows(["a red cube", "", "cones"])
    stage = opened(ImageReward, RewardParams(model=str(tiny_reward[0])))
    together = stage.process(batch)["score.imagereward"]
    assert together[1] is None
    for at in (0, 2):
        alone = stage.process(batch.keep([at]))["score.imagereward"][0]
        assert together[at] == pytest.approx(alone, abs=1e-5)


def test_checkpoint_that_lacks_a_layer_is_refused(
    tiny_reward: Any, tmp_path: Path, opened: Open
) -> None:
    weights = load_file(tiny_reward[0] / "imagereward.safetensors")
    del weights["blip.text_encoder.encoder.layer.0.attention.self.query.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnusable, match="does not fit an ImageReward checkpoint"):
        opened(
            ImageReward,
            RewardParams(model=str(tmp_path / "model.safetensors"), tokenizer=str(tiny_reward[0])),
        )


def test_no_checkpoint_says_how_to_get_one(opened: Open) -> None:
    with pytest.raises(ModelUnusable, match="no checkpoint is named"):
        opened(ImageReward, RewardParams())
