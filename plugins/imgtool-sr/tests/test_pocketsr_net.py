"""PocketSR's shapes, its one step, its two paths, and blocks that give way to light ones."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from imgtool_sr.checkpoints import whole_picture_layers
from imgtool_sr.pocketsr.annealing import anneal, annealed_blocks, lam_at, prune, set_lam
from imgtool_sr.pocketsr.blocks import Heavy
from imgtool_sr.pocketsr.config import SIZES
from imgtool_sr.pocketsr.losses import LocalFit, feature_distillation, relative
from imgtool_sr.pocketsr.model import PocketSR, alpha_bar, load_pocketsr, one_step, save_pocketsr
from imgtool_sr.pocketsr.unet import UNet

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

TINY = SIZES["tiny"]


def weights(*nets: nn.Module) -> int:
    return sum(p.numel() for net in nets for p in net.parameters())


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def teacher() -> UNet:
    torch.manual_seed(0)
    return UNet(TINY, is_light=False)


def noise(unet: UNet) -> Tensor:
    with torch.no_grad():
        made: Tensor = unet(drawn(1, 4, 4, 6), drawn(1, 16, 4, 6, seed=1)).eps
    return made


def set_all(unet: UNet, lam: float) -> None:
    for _, block in annealed_blocks(unet):
        block.lam = lam


def test_full_shapes_are_inside_the_papers_budget() -> None:
    with torch.device("meta"):
        model, u = PocketSR(SIZES["full"]), torch.empty(1, 3, 512, 512)
    with FlopCounterMode(display=False) as counter:
        model(u)

    assert 138e6 < weights(model) < 154e6
    assert counter.get_total_flops() / 2 < 225e9
    # The autoencoder in whose place they are has 83.65 million.
    assert weights(model.encoder, model.decoder) < 0.03 * 83.65e6
    assert weights(model.unet) == pytest.approx(144.9e6, rel=0.005)


def test_pictures_keep_their_size_at_every_size_of_model() -> None:
    for name, config in SIZES.items():
        with torch.device("meta"):
            made = PocketSR(config)(torch.empty(2, 3, 2 * config.step, config.step))
        assert made.shape == (2, 3, 2 * config.step, config.step), name


def test_the_schedule_is_stable_diffusions() -> None:
    assert alpha_bar(999) == pytest.approx(0.0046601, abs=1e-7)
    assert alpha_bar(200) == pytest.approx(0.75369, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_one_step_finds_what_noise_was_put_on_whatever_the_precision(dtype: torch.dtype) -> None:
    z, z0 = drawn(1, 4, 64, 64), drawn(1, 4, 64, 64, seed=1)
    alpha = alpha_bar(999)
    eps = (z - alpha**0.5 * z0) / (1 - alpha) ** 0.5
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        found = one_step(z, eps, alpha)

    assert found.dtype == torch.float32
    assert float((found - z0).abs().max()) <= 2e-5


def test_the_noise_is_predicted_in_float32_by_nets_of_low_precision(teacher: UNet) -> None:
    low = teacher.bfloat16()
    with torch.no_grad():
        made = low(drawn(1, 4, 4, 4).bfloat16(), drawn(1, 16, 4, 4).bfloat16())

    assert (made.eps.dtype, made.rich.dtype) == (torch.float32, torch.bfloat16)


def test_a_new_net_returns_the_picture_and_ignores_both_second_paths() -> None:
    model, u = PocketSR(TINY), drawn(1, 3, 32, 48).sigmoid()
    picture, before = model.restored(u)
    torch.nn.init.normal_(model.encoder.rich.weight)
    after = model.denoised(u)

    assert torch.equal(picture, u)
    assert torch.equal(before.z0, after.z0)
    torch.nn.init.normal_(model.inject.weight)
    assert not torch.equal(before.z0, model.denoised(u).z0)


def test_gates_start_nearly_closed_and_look_at_what_is_near() -> None:
    skip = PocketSR(TINY).decoder.skips[0]
    d, u = drawn(1, 16, 8, 8), drawn(1, 3, 64, 64)
    with torch.no_grad():
        alone = skip(d, u) - d
        far = skip(d, torch.cat([u[..., :48], u[..., 48:] + 9], dim=-1)) - d
        open_ = alone / skip.conv(torch.nn.functional.pixel_unshuffle(u, 8))

    assert 0.05 < float(open_.mean()) < 0.2
    assert torch.equal(alone[..., :4], far[..., :4])
    assert not torch.equal(alone[..., 5], far[..., 5])


def test_skips_start_with_detail_and_no_colour() -> None:
    skip = PocketSR(TINY).decoder.skips[2]
    flat, edge = torch.full((1, 3, 16, 16), 0.7), torch.zeros(1, 3, 16, 16)
    edge[..., 8:] = 1.0
    with torch.no_grad():
        seen = [skip.conv(F.pixel_unshuffle(u, 2))[..., 1:-1, 1:-1] for u in (flat, edge)]
        quiet = skip.conv.bias.detach()[:, None, None]

    assert torch.allclose(seen[0], quiet.expand_as(seen[0]), atol=1e-5)
    assert float((seen[1] - quiet).abs().max()) > 1


def test_nets_that_see_whole_pictures_can_be_told() -> None:
    with torch.device("meta"):
        found = {name: whole_picture_layers(PocketSR(config)) for name, config in SIZES.items()}

    assert found == {"full": ["GroupNorm"], "small": [], "tiny": []}


def test_at_one_the_annealed_net_is_the_teacher(teacher: UNet) -> None:
    wanted = noise(teacher)
    annealed = copy.deepcopy(teacher)
    anneal(annealed)

    assert len(list(annealed_blocks(annealed))) > 10
    assert torch.equal(noise(annealed), wanted)


def test_at_nought_it_is_a_student_built_on_its_own(teacher: UNet) -> None:
    anneal(teacher)
    set_all(teacher, 0.0)
    annealed = noise(teacher)
    prune(teacher)
    student = UNet(TINY, is_light=True)
    student.load_state_dict(teacher.state_dict())

    assert torch.equal(annealed, noise(teacher))
    assert torch.equal(annealed, noise(student))
    assert not [m for m in teacher.modules() if isinstance(m, Heavy) and not m.is_kept]
    assert weights(teacher) == weights(student)


def test_in_between_a_block_gives_its_share_of_both(teacher: UNet) -> None:
    anneal(teacher)
    _, block = next(annealed_blocks(teacher))
    x = drawn(1, 16, 4, 4)
    block.lam = 0.5
    mean = (block.heavy(x) + block.light(x)) / 2

    assert float((block(x) - mean).detach().abs().max()) <= 1e-6


def test_what_no_longer_counts_is_not_run(teacher: UNet) -> None:
    anneal(teacher)
    for _, block in annealed_blocks(teacher):
        torch.nn.init.constant_(next(block.heavy.parameters()), torch.nan)
    set_all(teacher, 0.0)
    assert bool(noise(teacher).isfinite().all())
    set_all(teacher, 0.5)
    assert not bool(noise(teacher).isfinite().all())


def test_groups_give_way_one_after_another_by_the_step_alone(teacher: UNet) -> None:
    anneal(teacher)
    shares = {}
    for step in (0, 30, 50, 70, 100):
        set_lam(teacher, step, 100)
        shares[step] = {block.group: round(block.lam, 6) for _, block in annealed_blocks(teacher)}

    assert set(shares[0].values()) == {1.0}
    assert shares[30] == {"feed-forward": 0.5, "attention": 0.833333, "residual": 1.0}
    assert shares[50]["attention"] == 0.5
    assert shares[70] == {"feed-forward": 0.0, "attention": 0.166667, "residual": 0.5}
    assert set(shares[100].values()) == {0.0}


@pytest.mark.parametrize(("shape", "middle", "late"), [
    ("linear", 0.5, 0.25), ("cosine", 0.5, 0.146447), ("step", 0.0, 0.0),
])  # fmt: skip
def test_every_schedule_begins_and_ends_exactly(shape: str, middle: float, late: float) -> None:
    found = [lam_at(progress, shape) for progress in (-1.0, 0.0, 0.5, 0.75, 1.0, 2.0)]  # type: ignore[arg-type]

    assert found == [1.0, 1.0, pytest.approx(middle), pytest.approx(late, abs=1e-6), 0.0, 0.0]


def test_feature_distillation_measures_shape_not_size() -> None:
    teacher, student = ([drawn(1, 4, n, n, seed=at + n) for n in (4, 2)] for at in (0, 9))
    tenfold = feature_distillation([f * 10 for f in student], [f * 10 for f in teacher])

    assert float(feature_distillation(teacher, teacher)) == 0
    assert float(tenfold) == pytest.approx(float(feature_distillation(student, teacher)))


def test_light_blocks_are_fitted_while_the_teacher_runs(teacher: UNet) -> None:
    anneal(teacher)
    fit = LocalFit(teacher)
    wanted = noise(teacher)
    errors = fit.taken()
    errors.backward()  # type: ignore[no-untyped-call]
    _, block = next(annealed_blocks(teacher))

    assert torch.equal(noise(teacher), wanted)
    assert all(p.grad is not None for p in block.light.parameters())
    assert all(p.grad is None for p in block.heavy.parameters())
    assert float(relative(torch.ones(3), 2 * torch.ones(3))) == 0.25


def test_a_folder_gives_back_the_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, u = PocketSR(TINY).half().float().eval(), drawn(1, 3, 32, 32).sigmoid()
    torch.nn.init.normal_(model.decoder.rise[-1].weight, std=0.1).data.copy_(
        model.decoder.rise[-1].weight.half().float()
    )
    save_pocketsr(model, tmp_path)
    with torch.no_grad():
        assert torch.equal(load_pocketsr(tmp_path)(u), model(u))


def test_folders_that_hold_something_else_say_what(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no config\.json"):
        load_pocketsr(tmp_path)
    save_pocketsr(PocketSR(replace(TINY, encoder=24)), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, reason in (
        ({"architecture": "CLIPModel"}, "of no PocketSR"),
        ({"format": 2}, "a later format"),
        ({"depth": 3}, "is odd"),
        ({"encoder": 16}, "weights are not of"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(ValueError, match=reason):
            load_pocketsr(tmp_path)
