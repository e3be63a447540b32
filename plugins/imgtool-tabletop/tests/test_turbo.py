"""Distilling in segments agrees with the schedulers that teach and that sample."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler, UNet2DConditionModel

from imgtool_tabletop.training.generator import GeneratorTraining, build_scheduler, build_unet
from imgtool_tabletop.training.turbo import STOPS, Angles, Teacher, consistent, picture_and_noise


@pytest.fixture(scope="module")
def sampler() -> LCMScheduler:
    """The scheduler that the distilled model is sampled with."""
    return LCMScheduler.from_config(build_scheduler().config, original_inference_steps=STOPS)


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    """A small random net with an adapter that does nothing yet."""
    from peft import LoraConfig

    net = build_unet(GeneratorTraining(widths=(32, 32)), latent_channels=4, text_width=16)
    net.add_adapter(LoraConfig(r=2, target_modules=["to_q"]))
    return net.eval()


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_sampling_stops_only_where_training_did(steps: int, sampler: LCMScheduler) -> None:
    sampler.set_timesteps(steps, original_inference_steps=STOPS)
    trained = {stop * 1000 // STOPS - 1 for stop in range(1, STOPS + 1)}
    assert sampler.timesteps[0] == 999
    assert set(sampler.timesteps.tolist()) <= trained


@pytest.mark.parametrize("time", [249, 999])
def test_the_student_is_read_as_its_scheduler_reads_it(time: int, sampler: LCMScheduler) -> None:
    noised, velocity = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    times = torch.tensor([time])
    here = Angles.at(times, sampler.alphas_cumprod)
    sampler.set_timesteps(4, original_inference_steps=STOPS)

    said = consistent(noised, picture_and_noise(noised, velocity, here)[0], times)

    read = sampler.step(velocity, time, noised, generator=torch.Generator()).denoised
    torch.testing.assert_close(said, read)


def test_a_picture_is_consistent_with_itself() -> None:
    picture, said = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    assert torch.equal(consistent(picture, said, torch.tensor([-1])), picture)


@torch.no_grad()
def test_the_teacher_goes_as_ddim_does(unet: UNet2DConditionModel) -> None:
    draw = torch.Generator().manual_seed(3)
    start = torch.randn(2, 4, 8, 8, generator=draw)
    states, empty = torch.randn(2, 6, 16, generator=draw), torch.randn(6, 16, generator=draw)
    ddim: DDIMScheduler = build_scheduler()
    ddim.set_timesteps(8)

    went = start
    for time in ddim.timesteps:
        blind = unet(went, time, empty.expand_as(states)).sample
        told = unet(went, time, states).sample
        went = ddim.step(blind + 3.0 * (told - blind), time, went).prev_sample
    teacher = Teacher(unet, ddim.alphas_cumprod, empty, guidance=3.0)
    late, early = torch.tensor([999, 999]), torch.tensor([-1, -1])
    followed = teacher.follow(start, late, early, states, substeps=8)

    torch.testing.assert_close(followed, went, atol=1e-4, rtol=1e-4)
