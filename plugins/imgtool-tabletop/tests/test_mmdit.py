"""The generator with joint attention: trained as its pipeline will ask it, and a folder for it."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusion3Pipeline
from torch import Tensor

from imgtool.api import BadParams
from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.generator import CaptionSource, LatentSource, velocity_pair
from imgtool_tabletop.training.loop import Budget
from imgtool_tabletop.training.mmdit import (
    EMPTY_TOKENS,
    FoldedJointAttention,
    JointTexts,
    MmditTraining,
    Teacher,
    build_transformer,
    train_mmdit,
)

if TYPE_CHECKING:
    from pathlib import Path

PROMPTS = ["a red cube", "a blue sphere to the left of a green cone on a wooden table"]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> PictureBank:
    """Eight pictures."""
    made = PictureBank(tmp_path_factory.mktemp("bank"), 1, 8)
    made.fill(lambda line: None)
    return made


def folder_of(settings: MmditTraining, bank: PictureBank, folder: Path) -> Path:
    """What a training writes."""
    vae, clip = WEIGHTS / "tabletop" / "vae", WEIGHTS / "clip"
    train_mmdit(settings, bank, vae, clip, folder / "made", folder / "work", lambda line: None)
    return folder / "made"


@pytest.fixture(scope="module")
def trained(bank: PictureBank, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after two steps."""
    settings = MmditTraining(batch=2, layers=2, budget=Budget(steps=2, log_every=1))
    return folder_of(settings, bank, tmp_path_factory.mktemp("mmdit"))


@pytest.fixture(scope="module")
def teacher(bank: PictureBank) -> Teacher:
    """The shipped generator."""
    texts = CaptionSource(bank, WEIGHTS / "clip")
    return Teacher(WEIGHTS / "tabletop", texts, "cpu")


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


def test_a_teacher_that_knows_the_picture_says_the_velocity_of_the_flow(
    teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = torch.Generator().manual_seed(1)
    latents, noise = torch.randn(2, 5, 8, 8, 8, generator=drawn)
    times = teacher.times[[0, 1, 400, 998, 999]]
    seen: list[Tensor] = []

    def knowing(scaled: Tensor, at: Tensor, states: Tensor) -> SimpleNamespace:
        noised, velocity = velocity_pair(latents, noise, at, teacher.alphas)
        torch.testing.assert_close(scaled, noised)
        seen.append(states)
        return SimpleNamespace(sample=velocity)

    knowing.device = torch.device("cpu")  # type: ignore[attr-defined]
    monkeypatch.setattr(teacher, "unet", knowing)
    flowing = torch.lerp(latents, noise, times[:, None, None, None])
    rows, variants = torch.arange(5), torch.tensor([0, 1, -1, 0, -1])
    made = teacher.velocity(flowing, times, rows, variants)

    torch.testing.assert_close(made, noise - latents, rtol=1e-4, atol=1e-4)
    assert (seen[0][2] == teacher.texts.empty).all()
    assert (seen[0][0] != teacher.texts.empty).any()


def test_the_teachers_times_of_a_flow_rise_from_little_noise_to_nothing_else(
    teacher: Teacher,
) -> None:
    assert (teacher.times.diff() > 0).all()
    assert 0 < teacher.times[0] < 0.05
    assert teacher.times[-1] == 1
    assert teacher.nearest(teacher.times).equal(teacher.times)
    assert teacher.nearest(torch.tensor([0.0, 1.0])).equal(teacher.times[[0, -1]])


def test_a_teacher_that_predicts_noise_is_refused(teacher: Teacher, tmp_path: Path) -> None:
    shutil.copytree(WEIGHTS / "tabletop" / "unet", tmp_path / "unet")
    DDIMScheduler().save_pretrained(tmp_path / "scheduler")

    with pytest.raises(BadParams, match="predicts epsilon, not velocity"):
        Teacher(tmp_path, teacher.texts, "cpu")


def test_the_shipped_generator_teaches_what_its_pictures_say_on_the_whole(
    teacher: Teacher, bank: PictureBank
) -> None:
    vae = AutoencoderKL.from_pretrained(WEIGHTS / "tabletop" / "vae").eval()
    source = LatentSource(bank, vae)
    source.extend(8)
    latents = source.latents.float()
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    times = teacher.nearest(torch.full((8,), 0.5))
    noised = torch.lerp(latents, noise, times[:, None, None, None])
    rows = torch.arange(8)
    told, blind = (
        teacher.velocity(noised, times, rows, torch.full((8,), variant)) for variant in (0, -1)
    )

    missed = [(said - (noise - latents)).square().mean() for said in (told, blind)]
    # Knowing nothing, the mean velocity 0 misses by the power of both: about 2.
    assert missed[0] < missed[1] < 1.0


def test_training_follows_a_teacher(trained: Path, bank: PictureBank, tmp_path: Path) -> None:
    settings = MmditTraining(
        batch=2,
        layers=2,
        budget=Budget(steps=2, log_every=1),
        teacher=WEIGHTS / "tabletop",
    )
    taught = folder_of(settings, bank, tmp_path)

    weights = "transformer/diffusion_pytorch_model.safetensors"
    assert (taught / weights).read_bytes() != (trained / weights).read_bytes()
    assert "another generator" in (taught / "README.md").read_text()
    assert "another generator" not in (trained / "README.md").read_text()
