"""Pixel-Perfect Depth's shapes, its flow, its weights in files, and its prompts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from imgtool.api import ModelUnusable
from imgtool_defocus.ppd.checkpoint import load_ppd, save_ppd, shapes_of
from imgtool_defocus.ppd.config import SIZES, PpdConfig
from imgtool_defocus.ppd.flow import depth_of, mixed, normalised, sampled, timesteps
from imgtool_defocus.ppd.losses import gradient_error, velocity_error
from imgtool_defocus.ppd.model import PixelPerfect, resized
from imgtool_defocus.ppd.net import CascadeTransformer, begun, turned, turns
from imgtool_defocus.ppd.semantics import load_prompts
from imgtool_defocus.tiny import save_depth

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

TINY = replace(SIZES["tiny"], semantics=16)
CPU = torch.device("cpu")
PUBLISHED = {
    "x_embedder.proj": (1024, 4, 16, 16), "t_embedder.mlp.0": (1024, 256),
    "t_embedder.mlp.2": (1024, 1024), "blocks.23.attn.qkv": (3072, 1024),
    "blocks.0.attn.q_norm": (64,), "blocks.0.attn.k_norm": (64,),
    "blocks.11.attn.proj": (1024, 1024), "blocks.12.mlp.fc1": (4096, 1024),
    "blocks.12.mlp.fc2": (1024, 4096), "blocks.5.adaLN_modulation.1": (6144, 1024),
    "proj_fusion.0": (4096, 2048), "proj_fusion.2": (4096, 4096), "proj_fusion.4": (4096, 4096),
    "final_layer.linear": (64, 1024), "final_layer.adaLN_modulation.1": (2048, 1024),
}  # fmt: skip
"""Shapes of weights under their published names."""


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def net() -> CascadeTransformer:
    torch.manual_seed(0)
    return CascadeTransformer(TINY).eval()


def weights(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def velocity(
    net: CascadeTransformer, x: Tensor, t: float = 500.0, e: Tensor | None = None
) -> Tensor:
    tokens = x.shape[2] * x.shape[3] // TINY.patch**2
    e = drawn(len(x), tokens, TINY.semantics, seed=9) if e is None else e
    with torch.no_grad():
        made: Tensor = net(x, torch.full((len(x),), t), e)
    return made


def test_the_full_net_has_the_published_weights() -> None:
    with torch.device("meta"):
        full = CascadeTransformer(PpdConfig())
    shapes = {name: tuple(value.shape) for name, value in full.state_dict().items()}

    assert {name: shapes[f"{name}.weight"] for name in PUBLISHED} == PUBLISHED
    assert len(shapes) == 2 * (24 * 7 + 8)
    assert weights(full) == 499_842_112
    assert shapes_of(full.state_dict()) == PpdConfig()


def test_the_full_net_refines_3072_tokens_as_12288() -> None:
    with torch.device("meta"):
        full = CascadeTransformer(PpdConfig())
        x, t, e = torch.empty(1, 4, 768, 1024), torch.empty(1), torch.empty(1, 3072, 1024)
    seen: list[tuple[int, ...]] = []
    for block in full.blocks:
        block.register_forward_hook(lambda _, given, made: seen.append(tuple(made.shape)))

    assert full(x, t, e).shape == (1, 1, 768, 1024)
    assert seen == [(1, 3072, 1024)] * 12 + [(1, 12288, 1024)] * 12


def test_every_input_counts_and_pictures_of_a_batch_do_not_meet(net: CascadeTransformer) -> None:
    x = drawn(2, 4, 16, 24)
    made = velocity(net, x)

    assert made.shape == (2, 1, 16, 24)
    assert not torch.equal(velocity(net, x, t=100.0), made)
    assert not torch.equal(velocity(net, x, e=drawn(2, 6, 16, seed=3)), made)
    alone = velocity(net, x[1:], e=drawn(2, 6, 16, seed=9)[1:])
    torch.testing.assert_close(alone, made[1:], rtol=1e-4, atol=1e-5)


def test_prompts_count_by_direction(net: CascadeTransformer) -> None:
    x, e = drawn(1, 4, 16, 16), drawn(1, 4, 16, seed=3)

    torch.testing.assert_close(velocity(net, x, e=40 * e), velocity(net, x, e=e))


def test_a_token_becomes_the_four_below_it(net: CascadeTransformer) -> None:
    """With blocks that change nothing, a patch is all that its own pixels see."""
    for block in net.blocks:
        for part in (block.adaLN_modulation[1].weight, block.adaLN_modulation[1].bias):
            torch.nn.init.zeros_(part)
    x = drawn(1, 4, 16, 24)
    other = x.clone()
    other[:, :, 8:, 8:16] += 1.0
    moved = (velocity(net, other) != velocity(net, x))[0, 0]
    wanted = torch.zeros(16, 24, dtype=torch.bool)
    wanted[8:, 8:16] = True

    assert torch.equal(moved, wanted)


def test_places_turn_queries_and_keys_so_that_distance_counts() -> None:
    by = turns(4, 5, 16, torch.empty(()))
    q, k = (drawn(1, 1, 1, 16, seed=seed).expand(1, 1, 20, 16) for seed in (1, 2))
    q, k = turned(q, by), turned(k, by)
    scores = (q @ k.transpose(-2, -1)).reshape(4, 5, 4, 5)

    assert float(scores[0, 0, 1, 2]) == pytest.approx(float(scores[2, 1, 3, 3]), abs=1e-5)
    assert abs(float(scores[0, 0, 1, 2] - scores[0, 0, 2, 1])) > 1e-3


def test_training_begins_with_a_velocity_of_zero() -> None:
    assert not velocity(begun(CascadeTransformer(TINY)), drawn(1, 4, 16, 16)).any()


def test_the_flow_asks_at_the_published_steps() -> None:
    assert timesteps(4) == [1000, 750, 500, 249]
    assert all(len(timesteps(steps)) == steps for steps in (1, 3, 7, 20, 1000))


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_a_perfect_velocity_gives_the_depth(steps: int) -> None:
    x0, noise = drawn(2, 1, 8, 8), drawn(2, 1, 8, 8, seed=1)

    torch.testing.assert_close(sampled(lambda xt, t: noise - x0, noise, steps), x0)


def test_a_step_goes_by_its_depth_and_its_noise() -> None:
    """Euler's method, in the two ends that a velocity says."""
    noise = drawn(1, 1, 8, 8)
    v = {1000: drawn(1, 1, 8, 8, seed=1), 500: drawn(1, 1, 8, 8, seed=2)}
    x0, x1 = noise - v[1000], noise
    xt = 0.5 * x0 + 0.5 * x1
    wanted = xt - 0.5 * v[500]

    made = sampled(lambda xt, t: v[round(float(t) / 500) * 500], noise, 2)
    torch.testing.assert_close(made, wanted, atol=2e-3, rtol=0)


def test_between_depth_and_noise_the_velocity_leads_back() -> None:
    x0, noise, t = drawn(3, 1, 4, 4), drawn(3, 1, 4, 4, seed=1), torch.tensor([0.0, 250.0, 1000.0])
    xt = mixed(x0, noise, t)

    torch.testing.assert_close(xt[0], x0[0])
    torch.testing.assert_close(xt[2], noise[2])
    torch.testing.assert_close(depth_of(xt, noise - x0, t), x0)


def test_depth_is_normalised_between_its_quantiles_and_comes_back() -> None:
    metres = torch.linspace(0.5, 20.0, 10_000).reshape(1, 100, 100)
    x0 = normalised(metres)
    low, high = (metres.log1p().quantile(q) for q in (0.02, 0.98))
    inside = (metres.log1p() >= low) & (metres.log1p() <= high)
    back = ((x0 + 0.5) * (high - low) + low).expm1()

    torch.testing.assert_close(back[inside], metres[inside], rtol=1e-5, atol=1e-5)
    assert (float(x0.max()), bool((x0.min() < -0.5) & (x0.min() > -1.0))) == (0.5, True)
    assert normalised(torch.full((1, 4, 4), 2.0)).isfinite().all()


def test_losses_are_nothing_where_the_velocity_is_right() -> None:
    x0, noise, t = drawn(2, 1, 16, 16), drawn(2, 1, 16, 16, seed=1), torch.tensor([300.0, 900.0])
    xt, shifted = mixed(x0, noise, t), noise - x0 + 1.0

    assert float(velocity_error(noise - x0, x0, noise)) == 0
    assert float(gradient_error(noise - x0, xt, t, x0)) < 1e-5
    assert float(velocity_error(shifted, x0, noise)) == pytest.approx(1.0)
    assert float(gradient_error(shifted, xt, t, x0)) < 1e-5
    assert float(gradient_error(noise - x0 + drawn(2, 1, 16, 16, seed=2), xt, t, x0)) > 0.1


@pytest.mark.parametrize("prefix", ["dit.", ""])
def test_published_weights_load_and_their_shapes_say_the_rest(
    net: CascadeTransformer, tmp_path: Path, prefix: str
) -> None:
    from safetensors.torch import save_file

    named = {prefix + name: value.contiguous() for name, value in net.state_dict().items()}
    save_file(named, tmp_path / "model.safetensors")
    loaded, x = load_ppd(tmp_path), drawn(1, 4, 16, 16)

    assert loaded.config == replace(TINY, area=1024 * 768)
    assert torch.equal(velocity(loaded, x), velocity(net, x))


def test_what_is_saved_loads_in_half_precision(net: CascadeTransformer, tmp_path: Path) -> None:
    net.config = replace(TINY, objective="regression")
    save_ppd(net, tmp_path)
    loaded, x = load_ppd(tmp_path), drawn(1, 4, 16, 16)

    assert loaded.config == net.config
    torch.testing.assert_close(velocity(loaded, x), velocity(net, x), atol=5e-2, rtol=0)


def write(folder: Path, named: dict[str, Tensor], config: str = "") -> None:
    from safetensors.torch import save_file

    save_file(named, folder / "model.safetensors")
    if config:
        (folder / "config.json").write_text(config)


@pytest.mark.parametrize(("change", "config", "reason"), [
    (lambda named: named.pop("final_layer.linear.bias"), "", "no Pixel-Perfect Depth"),
    (lambda named: named.pop("proj_fusion.0.weight"), "", "have no 'proj_fusion.0.weight'"),
    (lambda named: None, '{"model_type": "glpn"}', "its config.json is of no PixelPerfectDepth"),
    (lambda named: None, '{"architecture": "PixelPerfectDepth", "format": 2}', "a later format"),
    (lambda named: None, '{"architecture": "PixelPerfectDepth", "format": 1, "depth": 3}', "odd"),
    (lambda named: None, '{"architecture": "PixelPerfectDepth", "format": 1, "width": 64}',
     "not of its config.json"),
])  # fmt: skip
def test_other_weights_are_refused(
    net: CascadeTransformer, tmp_path: Path, change: Any, config: str, reason: str
) -> None:
    named = {name: value.contiguous() for name, value in net.state_dict().items()}
    change(named)
    write(tmp_path, named, config)

    with pytest.raises(ValueError, match=reason):
        load_ppd(tmp_path)


def test_pickled_weights_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "ppd.pth").write_bytes(b"a pickle")

    with pytest.raises(ValueError, match=r"it has no model\.safetensors"):
        load_ppd(tmp_path)


def test_prompts_of_depth_anything_are_its_encoders_last_tokens(tmp_path: Path) -> None:
    from transformers import AutoModelForDepthEstimation

    folder = save_depth("depth_anything", tmp_path)
    prompts, picture = load_prompts(folder, CPU, torch.float32), drawn(2, 3, 48, 64).sigmoid()
    made = prompts(picture, 3, 4)
    net = AutoModelForDepthEstimation.from_pretrained(folder).backbone
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    pixels = torch.nn.functional.interpolate(picture, size=(24, 32), mode="bicubic")
    with torch.no_grad():
        wanted = net((pixels - mean) / std).feature_maps[-1][:, 1:]

    assert (prompts.channels, made.shape) == (16, (2, 12, 16))
    torch.testing.assert_close(made, wanted)


def test_prompts_of_a_glpn_are_its_levels_on_one_grid(tmp_path: Path) -> None:
    prompts = load_prompts(save_depth("glpn", tmp_path), CPU, torch.float32)
    picture = drawn(2, 3, 32, 32).sigmoid()
    made = prompts(picture, 4, 6)

    assert (prompts.channels, made.shape) == (32, (2, 24, 32))
    torch.testing.assert_close(prompts(picture[1:], 4, 6), made[1:], rtol=1e-4, atol=1e-5)


def test_a_model_without_an_encoder_for_prompts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="a dpt gives no prompts; depth_anything and glpn do"):
        load_prompts(save_depth("dpt", tmp_path), CPU, torch.float32)


@pytest.mark.parametrize(("picture", "sides"), [
    ((768, 1024), (768, 1024)), ((1080, 1920), (672, 1184)), ((32, 32), (880, 880)),
    ((3, 3000), (32, 28048)),
])  # fmt: skip
def test_pictures_of_any_shape_are_seen_at_the_same_area(
    picture: tuple[int, int], sides: tuple[int, int]
) -> None:
    with torch.device("meta"):
        model = PixelPerfect(CascadeTransformer(PpdConfig()), None)  # type: ignore[arg-type]

    assert model.size_for(*picture) == sides


def test_pictures_keep_their_range_at_other_sizes() -> None:
    checker = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    picture = checker.float().expand(1, 3, 8, 8)

    assert resized(picture, 4, 4).unique().tolist() == [0.5]
    assert (float(resized(picture, 16, 16).min()), float(resized(picture, 16, 16).max())) == (0, 1)
