"""`rewrite.weights`: embeddings as the two schools make them, from the model's own text encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from imgtool.api import BadParams, Batch
from imgtool_rewrite.compiling import compile_pieces
from imgtool_rewrite.continuing.stage import Expand, Promptist
from imgtool_rewrite.genpilot.stage import GenPilot
from imgtool_rewrite.llm import Llm
from imgtool_rewrite.shortcot.stage import ShortCot
from imgtool_rewrite.stage import Template
from imgtool_rewrite.weighted import Weights, WeightsParams
from imgtool_rewrite.weighting import blended, scaled
from imgtool_rewrite.weights import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    Open = Callable[..., Any]


class Letters:
    """A text encoder of eight places in which a letter's vector depends on those attended to."""

    mark = "letters"

    def tokens(self, text: str) -> list[int]:
        return [ord(letter) % 50 for letter in text if letter != " "]

    def padded(self, ids: Sequence[int]) -> list[int]:
        return ([98, *ids[:6], 99] + [0] * 8)[:8]

    def encode(self, ids: Sequence[int], mask: Sequence[int] | None = None) -> Tensor:
        x = torch.tensor(ids).float()
        seen = x * (torch.ones(8) if mask is None else torch.tensor(mask).float())
        return torch.stack([x.sin(), x.cos(), seen.sum().sin().expand(8)], -1)


def embeds(text: str, syntax: Any) -> Tensor:
    return compile_pieces(Letters(), parse(text, syntax), syntax).embeds


@pytest.mark.parametrize("syntax", ["a1111", "compel"])
def test_prompt_without_weights_is_the_plain_one(syntax: str) -> None:
    plain = Letters().encode(Letters().padded(Letters().tokens("ab c")))
    torch.testing.assert_close(embeds("ab c", syntax), plain)


def test_a1111_scales_vectors_and_restores_their_mean() -> None:
    z = embeds("abc", "a1111")
    found = embeds("a(b:2)c", "a1111")
    torch.testing.assert_close(found.mean(), z.mean())
    ratio = found / z
    torch.testing.assert_close(ratio[2] / ratio[1], torch.full((3,), 2.0))
    torch.testing.assert_close(found[3:], z[3:] * ratio[1][0])


def test_mean_of_zero_is_left_alone() -> None:
    z = torch.tensor([[1.0], [2.0]])
    assert scaled(z, torch.tensor([2.0, -1.0])).isfinite().all()


def test_compel_goes_away_from_the_empty_prompt() -> None:
    z, empty = embeds("abc", "compel"), embeds("", "compel")
    found = embeds("a(b)2c", "compel")
    torch.testing.assert_close(found[2], 2 * z[2] - empty[2])
    torch.testing.assert_close(found[3], z[3])


def test_compel_goes_half_way_to_the_prompt_that_lacks_the_text() -> None:
    encoder = Letters()
    ids = encoder.padded(encoder.tokens("abc"))
    z, empty = encoder.encode(ids), encoder.encode(encoder.padded([]))
    lacking = encoder.encode(ids, [1, 1, 0, 1, 1, 1, 1, 1])
    half = (z + lacking) / 2
    half[2] = empty[2] + (half[2] - empty[2]) / 2
    torch.testing.assert_close(embeds("a(b)0.5c", "compel"), half)


def test_weight_of_one_takes_nothing_of_the_prompt_without() -> None:
    z, other = torch.ones(2, 3), torch.zeros(2, 3)
    torch.testing.assert_close(blended(z, [(other, 1.0)]), z)
    torch.testing.assert_close(blended(z, [(other, 0.0)]), other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("syntax", ["a1111", "compel"])
def test_tokens_past_the_end_are_cut_and_counted(syntax: Any) -> None:
    made = compile_pieces(Letters(), parse("abcd(efgh)0.5", "compel"), syntax)
    assert made.cut == 2
    assert made.embeds.shape == (8, 3)


def rows(*prompts: str) -> Batch:
    ids = tuple(map(str, range(len(prompts))))
    return Batch(ids, {"prompt": list(prompts), "seed": [5] * len(prompts)})


def test_pictures_of_unweighted_embeddings_are_those_of_the_prompt(opened: Open) -> None:
    stage = opened(Weights, WeightsParams("a1111"))
    done = stage.process(rows("a red cube", "a (red:1.6) cube", "[a:b:0.5]"))
    assert done.ids == ("0", "1")
    assert "switches prompts" in done.failures["2"].reason
    assert list(done["prompt"]) == ["a red cube"] * 2
    assert [entry[-1]["status"] for entry in done["rewrite"]] == ["unchanged", "ok"]
    drawing = stage.runtime.stage("generate.diffusers", steps=2)
    try:
        plain = drawing.process(rows("a red cube"))["latents"][0]
        one, two = drawing.process(done)["latents"]
    finally:
        drawing.close()
    np.testing.assert_allclose(one, plain, atol=1e-3)
    assert np.abs(two - plain).max() > 0.01


@pytest.mark.parametrize("stage_class", [Template, Llm, GenPilot, ShortCot, Expand, Promptist])
def test_words_of_rows_that_have_embeddings_are_not_rewritten(stage_class: Any) -> None:
    rows = Batch(("a", "b"), {"prompt": ["a", "b"], "prompt_embeds": [None, np.zeros((2, 2))]})
    with pytest.raises(BadParams, match=f"{stage_class.id}: rows have prompt_embeds"):
        stage_class().process(rows)
