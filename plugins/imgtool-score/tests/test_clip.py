"""`score.clip`, `score.pick` and `score.win` against the same sums written out by hand."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_scorers import pictures

from imgtool.api import Batch, ModelUnusable, NeedsConsent
from imgtool_score.similarity import Clip, ClipParams, Hps, HpsParams, Pick, PickParams, scaled
from imgtool_score.tiny import MEAN, STD, save_clip
from imgtool_score.winning import Win, WinParams, softmax

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Any]

PROMPTS = ["a red cube", "two blue cones on a table", "", "grey sphere"]
CLOSE = 1e-5


def rows(count: int = 4) -> Batch:
    prompts = PROMPTS[:count]
    return Batch(
        tuple(map(str, range(count))),
        {"image": pictures(count), "prompt": prompts, "source_prompt": prompts},
    )


def by_hand(folder: Path, image: np.ndarray, text: str) -> float:
    """The cosine, from whole library models and numpy alone."""
    from transformers import AutoTokenizer, CLIPModel

    net = CLIPModel.from_pretrained(folder).eval()
    height, width, _ = image.shape
    short = min(height, width)
    picture = Image.fromarray(image).resize(
        (32 * width // short, 32 * height // short), Image.Resampling.BICUBIC
    )
    left, top = (picture.width - 32) // 2, (picture.height - 32) // 2
    cut = np.asarray(picture.crop((left, top, left + 32, top + 32)), np.float64) / 255
    pixels = torch.tensor((cut - MEAN) / STD).permute(2, 0, 1)[None].float()
    ids = AutoTokenizer.from_pretrained(folder)(
        [text], truncation=True, max_length=77, return_tensors="pt"
    )
    with torch.no_grad():
        seen = net.get_image_features(pixels).pooler_output[0].double().numpy()
        read = net.get_text_features(**ids).pooler_output[0].double().numpy()
    return float(seen @ read / np.sqrt(seen @ seen) / np.sqrt(read @ read))


def test_cosine_is_that_of_the_vectors(tiny_clip: Path, opened: Open) -> None:
    batch = rows()
    found = opened(Clip, ClipParams(model=str(tiny_clip))).process(batch)["score.clip"]
    for at in (0, 1, 3):
        expected = by_hand(tiny_clip, batch["image"][at], PROMPTS[at])
        assert found[at] == pytest.approx(expected, abs=CLOSE)


def test_published_scales_come_from_the_cosine(tiny_clip: Path, opened: Open) -> None:
    batch = rows(2)
    hundred = opened(Clip, ClipParams(model=str(tiny_clip), scale="clip100")).process(batch)
    prefixed = opened(Clip, ClipParams(model=str(tiny_clip), scale="clipscore")).process(batch)
    for at in range(2):
        image, text = batch["image"][at], PROMPTS[at]
        assert hundred["score.clip"][at] == pytest.approx(
            100 * by_hand(tiny_clip, image, text), abs=1e-3
        )
        cosine = by_hand(tiny_clip, image, f"A photo depicts {text}")
        assert prefixed["score.clip"][at] == pytest.approx(2.5 * max(cosine, 0), abs=CLOSE)


def test_clipscore_of_a_negative_cosine_is_exactly_zero() -> None:
    assert scaled(-0.3, "clipscore") == 0.0
    assert scaled(-0.3, "clip100") == pytest.approx(-30)


def test_batch_equals_singles_in_any_order(tiny_clip: Path, opened: Open) -> None:
    stage, batch = opened(Clip, ClipParams(model=str(tiny_clip))), rows()
    together = stage.process(batch)["score.clip"]
    backwards = stage.process(batch.keep([3, 2, 1, 0]))["score.clip"]
    for at in (0, 1, 3):
        alone = stage.process(batch.keep([at]))["score.clip"][0]
        assert together[at] == pytest.approx(alone, abs=CLOSE)
        assert backwards[3 - at] == pytest.approx(alone, abs=CLOSE)


def test_row_without_prompt_has_no_score_and_says_why(tiny_clip: Path, opened: Open) -> None:
    done = opened(Clip, ClipParams(model=str(tiny_clip))).process(rows())
    assert done["score.clip"][2] is None
    assert done["score_info.clip"][2]["error"] == "the row has no prompt"
    assert "error" not in done["score_info.clip"][0]


def test_record_says_metric_model_fingerprint_and_range(tiny_clip: Path, opened: Open) -> None:
    record = opened(Clip, ClipParams(model=str(tiny_clip))).process(rows())["score_info.clip"][0]
    assert record["metric"] == "clip"
    assert record["model"] == str(tiny_clip)
    assert len(record["fingerprint"]) == 16
    assert record["range"] == [-1.0, 1.0]
    assert record["better"] == "higher"


def test_fingerprint_changes_with_weights_scale_and_prefix(
    tiny_clip: Path, tmp_path: Path, opened: Open
) -> None:
    other = save_clip(tmp_path / "other", seed=1)
    settings = [
        ClipParams(model=str(tiny_clip)),
        ClipParams(model=str(other)),
        ClipParams(model=str(tiny_clip), scale="clip100"),
        ClipParams(model=str(tiny_clip), prefix="a photo of "),
    ]
    marks = {
        opened(Clip, params).process(rows(1))["score_info.clip"][0]["fingerprint"]
        for params in settings
    }
    assert len(marks) == len(settings)


def test_scores_are_against_the_source_prompt_unless_told(tiny_clip: Path, opened: Open) -> None:
    batch = rows(1).with_columns(prompt=["something else"])
    source = opened(Clip, ClipParams(model=str(tiny_clip))).process(batch)
    prompt = opened(Clip, ClipParams(model=str(tiny_clip), against="prompt")).process(batch)
    image = batch["image"][0]
    assert source["score.clip"][0] == pytest.approx(
        by_hand(tiny_clip, image, PROMPTS[0]), abs=CLOSE
    )
    assert prompt["score.clip"][0] == pytest.approx(
        by_hand(tiny_clip, image, "something else"), abs=CLOSE
    )


def test_long_prompt_is_cut_with_its_end_kept_and_says_so(
    tiny_clip: Path, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ["x" * 120, "y" * 200]
    batch = rows(2).with_columns(source_prompt=texts)
    with caplog.at_level(logging.WARNING, "imgtool.score"):
        done = opened(Clip, ClipParams(model=str(tiny_clip))).process(batch)
    assert "2 prompts are longer than the 77 tokens" in caplog.text
    record = done["score_info.clip"][0]
    assert (record["truncated"], record["tokens"], record["limit"]) == (True, 122, 77)
    for at in range(2):
        expected = by_hand(tiny_clip, batch["image"][at], texts[at])
        assert done["score.clip"][at] == pytest.approx(expected, abs=CLOSE)


def test_two_over_long_prompts_have_vectors_of_their_own(tiny_clip: Path, opened: Open) -> None:
    encoder = opened(Clip, ClipParams(model=str(tiny_clip))).encoder
    one, two = encoder.texts(["x" * 120, "y" * 200])
    assert float(one @ two) < 0.999


def test_prompt_of_many_bytes_is_counted_in_tokens_not_letters(
    tiny_clip: Path, opened: Open
) -> None:
    batch = rows(1).with_columns(source_prompt=["🎲" * 30])
    record = opened(Clip, ClipParams(model=str(tiny_clip))).process(batch)["score_info.clip"][0]
    assert record["tokens"] == 122


def test_strict_fails_rows_whose_prompt_is_too_long(tiny_clip: Path, opened: Open) -> None:
    batch = rows(2).with_columns(source_prompt=["x" * 120, "short"])
    done = opened(Clip, ClipParams(model=str(tiny_clip), strict=True)).process(batch)
    assert done.ids == ("1",)
    assert "122 tokens, the model reads 77" in done.failures["0"].reason


def test_model_that_gives_nan_leaves_no_score(
    tiny_clip: Path, tmp_path: Path, opened: Open
) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_clip, tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["visual_projection.weight"][:] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    done = opened(Clip, ClipParams(model=str(folder))).process(rows(1))
    assert done["score.clip"] == [None]
    assert done["score_info.clip"][0]["error"] == "the model gave NaN"


def test_model_of_another_kind_is_refused(tiny_clip: Path, tmp_path: Path, opened: Open) -> None:
    import json
    import shutil

    folder = shutil.copytree(tiny_clip, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "siglip"}))
    with pytest.raises(ModelUnusable, match="of type 'siglip'"):
        opened(Clip, ClipParams(model=str(folder)))


def test_model_without_tokenizer_takes_one_named_beside(
    tiny_clip: Path, tmp_path: Path, opened: Open
) -> None:
    import shutil

    folder = shutil.copytree(tiny_clip, tmp_path / "bare")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ModelUnusable, match="comes without a tokenizer"):
        opened(Clip, ClipParams(model=str(folder)))
    done = opened(Clip, ClipParams(model=str(folder), tokenizer=str(tiny_clip))).process(rows(1))
    expected = by_hand(tiny_clip, rows(1)["image"][0], PROMPTS[0])
    assert done["score.clip"][0] == pytest.approx(expected, abs=CLOSE)


def test_pickscore_is_the_scaled_cosine(tiny_clip: Path, opened: Open) -> None:
    from transformers import CLIPModel

    factor = math.exp(CLIPModel.from_pretrained(tiny_clip).logit_scale.item())
    batch = rows(2)
    done = opened(Pick, PickParams(model=str(tiny_clip))).process(batch)
    for at in range(2):
        expected = factor * by_hand(tiny_clip, batch["image"][at], PROMPTS[at])
        assert done["score.pick"][at] == pytest.approx(expected, abs=1e-4)


def test_default_pickscore_model_is_not_fetched_unasked(opened: Open) -> None:
    with pytest.raises(NeedsConsent, match="PickScore_v1"):
        opened(Pick, PickParams())


def test_hpsv2_without_checkpoint_says_how_to_name_one(opened: Open) -> None:
    with pytest.raises(ModelUnusable, match="no HPSv2 checkpoint is named"):
        opened(Hps, HpsParams())


def test_chances_sum_to_one_and_ignore_a_constant() -> None:
    values = [0.2, 1.7, -3.0]
    chances = softmax(values)
    assert math.fsum(chances) == pytest.approx(1)
    assert softmax([value + 40 for value in values]) == pytest.approx(chances)


def test_chances_are_among_siblings_alone(opened: Open) -> None:
    batch = Batch(
        ("0.0", "0.1", "1.0", "1.1"), {"score.pick": [0.0, math.log(3), 5.0, None], "seed": [1] * 4}
    )
    done = opened(Win, WinParams()).process(batch)
    assert done["score.win"][:3] == pytest.approx([0.25, 0.75, 1.0])
    assert done["score.win"][3] is None


@pytest.mark.parametrize("lowest", [False, True])
def test_lowest_turns_the_chances_round(lowest: bool, opened: Open) -> None:
    batch = Batch(("0.0", "0.1"), {"score.pick": [1.0, 2.0]})
    chances = opened(Win, WinParams(lowest=lowest)).process(batch)["score.win"]
    assert (chances[0] > chances[1]) is lowest
