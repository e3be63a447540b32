"""The generator with joint attention: trained as its pipeline will ask it, and a folder for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from diffusers import StableDiffusion3Pipeline

from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.loop import Budget
from imgtool_tabletop.training.mmdit import (
    EMPTY_TOKENS,
    FoldedJointAttention,
    JointTexts,
    MmditTraining,
    build_transformer,
    train_mmdit,
)

if TYPE_CHECKING:
    from pathlib import Path

PROMPTS = ["a red cube", "a blue sphere to the left of a green cone on a wooden table"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after two steps."""
    folder = tmp_path_factory.mktemp("mmdit")
    bank = PictureBank(folder / "bank", 1, 8)
    bank.fill(lambda line: None)
    settings = MmditTraining(batch=2, layers=2, budget=Budget(steps=2, log_every=1))
    vae = WEIGHTS / "tabletop" / "vae"
    train_mmdit(
        settings, bank, vae, WEIGHTS / "clip", folder / "made", folder / "work", lambda line: None
    )
    return folder / "made"


@pytest.fixture(scope="module")
def pipe(trained: Path) -> StableDiffusion3Pipeline:
    made = StableDiffusion3Pipeline.from_pretrained(trained, text_encoder_3=None, tokenizer_3=None)
    made.set_progress_bar_config(disable=True)
    return made


def test_diffusers_draws_with_it(pipe: StableDiffusion3Pipeline) -> None:
    made = pipe(PROMPTS, num_inference_steps=2, output_type="pt").images

    assert made.shape == (2, 3, 64, 64)
    assert torch.isfinite(made).all()


def test_one_folded_state_is_all_the_empty_ones() -> None:
    net = build_transformer(MmditTraining(layers=3), 8, 32).double().eval()
    drawn = torch.Generator().manual_seed(1)
    latents, states, pooled = (
        torch.randn(shape, generator=drawn, dtype=torch.float64)
        for shape in ((2, 8, 8, 8), (2, 5, 32), (2, 32))
    )
    times = torch.tensor([300.0, 700.0], dtype=torch.float64)
    # A new net's last layer of every stream is no zero, so that all of it takes part.
    whole, folded = (torch.cat((states, states.new_zeros(2, n, 32)), 1) for n in (EMPTY_TOKENS, 1))
    with torch.no_grad():
        wanted = net(latents, whole, pooled, times).sample
        net.set_attn_processor(FoldedJointAttention(EMPTY_TOKENS))
        made = net(latents, folded, pooled, times).sample
        net.set_attn_processor(FoldedJointAttention(1))
        unweighted = net(latents, folded, pooled, times).sample

    torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-6)
    assert (unweighted - wanted).abs().max() > 1e-4


def test_captions_are_encoded_as_the_pipeline_does(pipe: StableDiffusion3Pipeline) -> None:
    wanted, _, pooled, _ = pipe.encode_prompt(
        PROMPTS, None, None, do_classifier_free_guidance=False
    )
    texts = JointTexts(WEIGHTS / "clip")
    whole, short = (texts.encoded(PROMPTS, whole=each) for each in (True, False))

    length = pipe.tokenizer_max_length
    # One is encoded in bfloat16.
    torch.testing.assert_close(whole[0][:, :length], wanted[:, :length], rtol=0.05, atol=0.05)
    assert not wanted[:, length:].any()
    assert wanted[:, length:].shape[1] == EMPTY_TOKENS
    torch.testing.assert_close(whole[1].float(), pooled, rtol=0.05, atol=0.05)
    kept = short[0].shape[1] - 1
    assert max(len(pipe.tokenizer(text).input_ids) for text in PROMPTS) <= kept < length
    torch.testing.assert_close(short[0][:, :kept], whole[0][:, :kept], rtol=0.05, atol=0.05)
