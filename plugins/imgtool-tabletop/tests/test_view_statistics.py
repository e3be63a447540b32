"""Statistics of random pictures against those of photographs, and degradations against records."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from imgtool.api import BadParams
from imgtool_tabletop.views.degrade import (
    CLASSIC,
    KERNEL_WEIGHTS,
    KERNELS,
    MILD,
    PRESETS,
    Preset,
    degrade,
    draw,
    sharpened,
)
from imgtool_tabletop.views.kernels import blur, gaussian, plateau, sinc
from imgtool_tabletop.views.leaves import Leaves, cover, radii
from imgtool_tabletop.views.params import LeavesParams, ScalesParams, TexturesParams
from imgtool_tabletop.views.resize import resize
from imgtool_tabletop.views.scales import Scales, softened
from imgtool_tabletop.views.spectra import power_noise, spectrum_slope
from imgtool_tabletop.views.textures import KINDS, Textures

if TYPE_CHECKING:
    from imgtool_tabletop.views.view import View

NOTHING: dict[str, Any] = {
    "rounds": [
        {
            "blur": None,
            "factor": 1.0,
            "resize": "bicubic",
            "noise": {"kind": "gaussian", "scale": 0.0, "gray": False, "seed": 1},
            "jpeg": None,
        }
    ]
    * 2,
    "resize": "bicubic",
    "sinc": None,
    "jpeg_last": True,
}


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def brightness(view: View[Any], count: int) -> Tensor:
    """[count, H, H] of the first examples."""
    pictures = [view.example(index).values["image"] for index in range(count)]
    return torch.stack([p.float().mean(0) / 255 for p in pictures])  # type: ignore[union-attr]


def halved(pictures: Tensor) -> Tensor:
    return avg_pool2d(pictures[None], 2)[0]


def steps(pictures: Tensor) -> Tensor:
    return pictures[..., 1:] - pictures[..., :-1]


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0, 3.0])
def test_the_slope_of_noise_is_measured_as_it_was_made(slope: float) -> None:
    noise = power_noise(64, slope, generator(), 24)
    assert abs(spectrum_slope(noise) - slope) < 0.15


@pytest.fixture(scope="module")
def leaves() -> dict[str, Tensor]:
    """Brightness [20, 64, 64] of leaves by shape."""
    return {
        "disc": brightness(Leaves(LeavesParams(size=64, shape="disc")), 20),
        "mixed": brightness(Leaves(LeavesParams(size=64, shape="mixed")), 20),
    }


@pytest.mark.parametrize("shape", ["disc", "mixed"])
def test_leaves_have_the_spectrum_of_photographs_at_every_scale(
    leaves: dict[str, Tensor], shape: str
) -> None:
    pictures = leaves[shape]
    assert abs(spectrum_slope(pictures) - 2.0) < 0.3
    assert abs(spectrum_slope(halved(pictures)) - 2.0) < 0.3
    # White noise halved loses half of its spread, a smooth picture none.
    assert 0.85 < steps(halved(pictures)).std() / steps(pictures).std() < 1.25


def test_leaves_have_heavier_tails_than_noise_of_the_same_spectrum(
    leaves: dict[str, Tensor],
) -> None:
    fallen = steps(leaves["mixed"]).flatten()
    noise = steps(power_noise(64, 2.0, generator(), 12)).flatten()
    kurtosis = [float(x.pow(4).mean() / x.square().mean() ** 2) for x in (fallen, noise)]
    assert kurtosis[0] > 5
    assert abs(kurtosis[1] - 3) < 0.5


def test_radii_follow_their_power_law() -> None:
    found = radii(200_000, 1.0, 100.0, 3.0, generator())
    assert found.min() >= 1
    assert found.max() <= 100
    for least in (2.0, 5.0, 10.0):
        expected = (least**-2 - 100.0**-2) / (1 - 100.0**-2)
        assert abs(float((found > least).float().mean()) / expected - 1) < 0.06


def test_leaves_cover_all_and_large_ones_take_as_much_as_small_ones() -> None:
    shares = []
    for seed in range(12):
        top, fallen = cover(64, 3.0, False, generator(seed))
        assert top.min() >= 0
        # By area, r^-3 gives each octave of radii the same: 2 to 8 as much as 8 to 32.
        radius = fallen.radius[top]
        shares.append([((radius >= low) & (radius < 4 * low)).float().mean() for low in (2, 8)])
    small, large = torch.tensor(shares).mean(0)
    assert 0.6 < large / small < 1.3


def test_the_topmost_leaf_is_the_one_shown() -> None:
    top, fallen = cover(24, 3.0, False, generator())
    line = torch.arange(24)
    y, x = torch.meshgrid(line, line, indexing="ij")
    apart = torch.hypot(x[..., None] - fallen.x, y[..., None] - fallen.y)
    is_on = apart <= fallen.radius
    assert torch.equal(is_on.int().argmax(-1), top)


@pytest.mark.parametrize("kind", KINDS)
def test_textures_of_a_kind_say_so_and_fill_the_range(kind: str) -> None:
    view = Textures(TexturesParams(size=24, kind=kind))  # type: ignore[arg-type]
    examples = [view.example(index) for index in range(6)]
    assert {example.record["kind"] for example in examples} == {kind}
    assert all(e.values["image"].float().std() > 2 for e in examples)  # type: ignore[union-attr]


def test_gratings_have_one_direction() -> None:
    view = Textures(TexturesParams(size=32, kind="grating"))
    spectrum = torch.fft.fft2(brightness(view, 8) - brightness(view, 8).mean((1, 2))[:, None, None])
    power = spectrum.abs().square().flatten(1).sort(descending=True).values
    assert (power[:, :12].sum(1) / power.sum(1)).min() > 0.6


@pytest.mark.parametrize("method", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize("side", [1, 5, 13, 16, 23, 40])
def test_resizing_by_any_factor_keeps_flat_pictures_flat(method: str, side: int) -> None:
    flat = torch.full((3, 16, 16), 0.3)
    found = resize(flat, side, side + 2, method)
    assert found.shape == (3, side, side + 2)
    torch.testing.assert_close(found, torch.full_like(found, 0.3))


def test_area_is_the_mean_of_what_a_pixel_covers() -> None:
    picture = torch.rand(3, 12, 12, generator=generator())
    torch.testing.assert_close(resize(picture, 4, 4, "area"), avg_pool2d(picture, 3))
    ramp = (torch.arange(10) + 0.5).expand(1, 10, 10)
    torch.testing.assert_close(resize(ramp, 4, 4, "area")[0, 0], torch.tensor([1.3, 3.7, 6.3, 8.7]))


@pytest.mark.parametrize(
    "kernel",
    [
        gaussian(21, 2.0, 2.0, 0.0),
        gaussian(21, 3.0, 0.5, 0.7),
        gaussian(13, 1.0, 2.0, 0.2, 3.0),
        plateau(13, 2.0, 1.0, 0.4, 1.5),
        sinc(13, 1.5),
        sinc(21, math.pi),
    ],
)
def test_kernels_keep_the_mean_and_the_middle(kernel: Tensor) -> None:
    assert abs(float(kernel.sum()) - 1) < 1e-5
    torch.testing.assert_close(kernel, kernel.flip(0, 1), rtol=0, atol=1e-6)
    flat = torch.full((3, 6, 9), 0.4)
    torch.testing.assert_close(blur(flat, kernel), flat)


def test_a_gaussian_is_as_wide_as_its_sigma() -> None:
    kernel = gaussian(21, 2.0, 1.0, 0.0)
    line = torch.arange(21) - 10.0
    assert abs(float((kernel.sum(0) * line**2).sum()) - 4.0) < 0.05
    assert abs(float((kernel.sum(1) * line**2).sum()) - 1.0) < 0.01


@pytest.mark.parametrize("preset", PRESETS)
def test_a_record_replays_to_the_same_bytes(preset: str) -> None:
    picture = torch.rand(3, 32, 32, generator=generator())
    for seed in range(8):
        record = draw(PRESETS[preset], random.Random(seed))
        replayed = json.loads(json.dumps(record))
        first, second = (degrade(picture, 13, 13, r) for r in (record, replayed))
        assert first.shape == (3, 13, 13)
        assert torch.equal(first, second)


def test_a_record_of_nothing_leaves_the_picture_as_it_was() -> None:
    picture = torch.rand(3, 20, 20, generator=generator())
    assert torch.equal(degrade(picture, 20, 20, NOTHING), (picture * 255).round().to(torch.uint8))


@pytest.mark.parametrize("preset", [CLASSIC, MILD])
def test_draws_keep_to_the_ranges_and_shares_of_their_preset(preset: Preset) -> None:
    rng = random.Random(5)
    records = [draw(preset, rng) for _ in range(10_000)]
    near = {"rel_tol": 0, "abs_tol": 0.03}
    assert math.isclose(_share(r["jpeg_last"] for r in records), 0.5, **near)
    assert math.isclose(_share(r["sinc"] for r in records), preset.final_sinc, **near)
    for number, order in enumerate(preset.orders):
        rounds = [r["rounds"][number] for r in records]
        noises, blurs = [r["noise"] for r in rounds], [r["blur"] for r in rounds if r["blur"]]
        assert math.isclose(len(blurs) / len(rounds), order.blur, **near)
        kept = _share(r["factor"] == 1 for r in rounds)
        assert math.isclose(kept, order.up_down_keep[2], **near)
        _within([r["factor"] for r in rounds], order.resize)
        _within([r["jpeg"] for r in rounds], order.jpeg)
        _within([n["scale"] for n in noises if n["kind"] == "gaussian"], order.noise_sigma)
        _within([n["scale"] for n in noises if n["kind"] == "poisson"], order.poisson)
        assert math.isclose(_share(n["gray"] for n in noises), preset.gray, **near)
        _within([b["size"] for b in blurs], order.blur_sizes)
        shaped = [b for b in blurs if b["kind"] != "sinc"]
        assert math.isclose(len(shaped) / len(blurs), 1 - preset.sinc, **near)
        _within([b["wide"] for b in shaped], order.blur_sigma)
        for kind, weight in zip(KERNELS, KERNEL_WEIGHTS, strict=True):
            assert math.isclose(_share(b["kind"] == kind for b in shaped), weight, **near)


def _share(marks: Any) -> float:
    marks = [bool(mark) for mark in marks]
    return sum(marks) / len(marks)


def _within(values: list[float], bounds: tuple[float, float]) -> None:
    """All within, and near both ends."""
    room = 0.05 * (bounds[1] - bounds[0])
    assert bounds[0] <= min(values) <= bounds[0] + room
    assert bounds[1] - room <= max(values) <= bounds[1]


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize(("kind", "scale", "spread"), [("gaussian", 12, 12), ("poisson", 1, 11.3)])
def test_noise_is_as_strong_as_told_and_gray_where_told(
    kind: str, scale: float, spread: float, gray: bool
) -> None:
    quiet = NOTHING["rounds"][0]
    noise = {"kind": kind, "scale": float(scale), "gray": gray, "seed": 3}
    record = NOTHING | {"rounds": [quiet | {"noise": noise}, quiet]}
    # All 256 levels, so 256 photons at full brightness: a deviation of 16 sqrt(v) levels at v.
    ramp = (torch.arange(256) / 255.0).expand(3, 128, 256)
    apart = degrade(ramp, 128, 256, record).float() - ramp * 255
    assert abs(float(apart[..., 118:138].std()) - spread) < 0.7
    assert torch.equal(apart[0], apart[1]) == gray


def test_sharpening_steepens_edges_and_leaves_flat_pictures() -> None:
    edge = torch.full((3, 64, 64), 0.3)
    edge[:, :, 32:] = 0.6
    assert (sharpened(edge)[:, 32, 33] - sharpened(edge)[:, 32, 30]).min() > 0.3
    flat = torch.full((3, 16, 16), 0.3)
    torch.testing.assert_close(sharpened(flat), flat)


def test_softness_takes_the_finest_detail_of_the_large_picture_alone() -> None:
    sharp, soft = (
        Scales(ScalesParams(size=128, source="leaves", low=2.0, high=2.0, softness=widest))
        .example(3)
        .values["large"]
        .float()  # type: ignore[union-attr]
        for widest in (0.0, 2.0)
    )
    assert soft.diff(dim=-1).abs().mean() < 0.8 * sharp.diff(dim=-1).abs().mean()
    assert float((soft.mean((1, 2)) - sharp.mean((1, 2))).abs().max()) < 1.0
    torch.testing.assert_close(softened(sharp / 255.0, 0.0), sharp / 255.0)


def test_grain_is_in_the_large_picture_as_strong_as_recorded_and_reduced_with_it() -> None:
    plain, grainy = (
        Scales(ScalesParams(size=128, source="textures", low=2.0, high=2.0, grain=grain)).example(3)
        for grain in (0.0, 12.0)
    )
    large, small = (
        (grainy.values[name].double() - plain.values[name].double()).std()  # type: ignore[union-attr]
        for name in ("large", "small")
    )
    assert float(large) == pytest.approx(grainy.record["degradation"]["grain"], rel=0.1)
    assert 0.3 * large < small < 0.8 * large


@pytest.mark.parametrize("source", ["scenes", "leaves", "textures"])
@pytest.mark.parametrize("degradation", ["area", "bicubic", "mild"])
def test_small_pictures_have_the_size_that_the_scale_says(source: str, degradation: str) -> None:
    params = ScalesParams(size=24, source=source, degradation=degradation, low=1.3, high=3.7)  # type: ignore[arg-type]
    for index in range(2):
        values = Scales(params).example(index).values
        side = math.floor(24 / float(values["scale"]) + 0.5)  # type: ignore[arg-type]
        assert values["large"].shape == (3, 24, 24)  # type: ignore[union-attr]
        assert values["small"].shape == (3, side, side)  # type: ignore[union-attr]


def test_small_pictures_replay_from_their_record() -> None:
    view = Scales(ScalesParams(size=24, degradation="classic", low=2, high=2))
    example = view.example(3)
    large = example.values["large"] / 255.0  # type: ignore[operator]
    record = json.loads(json.dumps(example.record["degradation"]))
    assert torch.equal(degrade(large, 12, 12, record), example.values["small"])


def test_a_scale_range_upside_down_is_refused() -> None:
    with pytest.raises(BadParams, match=r"3\.0 is below low 4\.0"):
        Scales(replace(ScalesParams(), low=4.0, high=3.0))
