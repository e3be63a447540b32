"""PSNR, SSIM, LPIPS and DISTS against formulas written out in numpy or as plain layers."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any
from zlib import compress, crc32

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from safetensors.torch import save_file
from tiny_scorers import pictures
from torch import nn

from imgtool.api import BadParams, Batch, InputMissing, ModelUnusable, read_picture
from imgtool_score.compare import (
    Dists,
    DistsParams,
    Lpips,
    LpipsParams,
    Psnr,
    PsnrParams,
    Ssim,
    SsimParams,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Any]

ALEX = "C8k11s4p2 R P3 C12k5p2 R P3 C16k3p1 R C12k3p1 R C12k3p1 R"
ALEX_TAPS = (1, 4, 7, 9, 11)
VGG = "C4 R C4 R P C6 R C6 R P C8 R C8 R C8 R P C8 R C8 R C8 R P C8 R C8 R C8 R"
VGG_TAPS = (3, 8, 15, 22, 29)


def pairs(count: int, size: tuple[int, int] = (40, 44)) -> Batch:
    """Pictures, and references that differ a little."""
    images = pictures(count, seed=1, size=size)
    noise = np.random.default_rng(2).normal(0, 12, (count, *size, 3))
    others = [
        np.clip(image + extra, 0, 255).astype(np.uint8)
        for image, extra in zip(images, noise, strict=True)
    ]
    ids = tuple(f"r{at}" for at in range(count))
    return Batch(ids, {"image": images, "reference": others})


def torchvision_layers(text: str, seed: int = 0) -> nn.Sequential:
    """The layers that a line describes, by torchvision's order, random."""
    import re

    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    inside = 3
    for word in text.split():
        if word == "R":
            layers.append(nn.ReLU())
        elif word.startswith("P"):
            layers.append(nn.MaxPool2d(int(word[1:] or 2), 2))
        else:
            found = re.fullmatch(r"C(\d+)(?:k(\d+))?(?:s(\d+))?(?:p(\d+))?", word)
            assert found
            outside, kernel, stride, padding = (
                int(value or default)
                for value, default in zip(found.groups(), (0, 3, 1, 1), strict=True)
            )
            layers.append(nn.Conv2d(inside, outside, kernel, stride, padding))
            inside = outside
    return nn.Sequential(*layers).eval()


def tapped(net: nn.Sequential, x: torch.Tensor, taps: tuple[int, ...]) -> list[torch.Tensor]:
    found = []
    for index, layer in enumerate(net):
        x = layer(x)
        if index in taps:
            found.append(x)
    return found


def saved(net: nn.Sequential, extra: dict[str, torch.Tensor], folder: Path) -> Path:
    """A folder with the net in one file and the weights of channels in another."""
    folder.mkdir()
    weights = {f"features.{name}": value.detach() for name, value in net.named_parameters()}
    save_file(weights, folder / "backbone.safetensors")
    save_file(extra, folder / "channels.safetensors")
    return folder


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.tensor(image / 255.0, dtype=torch.float32).permute(2, 0, 1)[None]


def plane(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values)[None, :, None, None]


def ssim_by_windows(x: np.ndarray, y: np.ndarray) -> float:
    """Every window of every channel, one by one in numpy."""
    places = np.arange(11) - 5
    line = np.exp(-(places**2) / (2 * 1.5**2))
    weights = np.outer(line, line) / np.outer(line, line).sum()
    total = []
    for channel in range(x.shape[2]):
        a, b = (
            np.lib.stride_tricks.sliding_window_view(z[..., channel] / 255.0, (11, 11))
            for z in (x, y)
        )
        mean_a, mean_b = ((z * weights).sum((2, 3)) for z in (a, b))
        var_a = (weights * (a - mean_a[..., None, None]) ** 2).sum((2, 3))
        var_b = (weights * (b - mean_b[..., None, None]) ** 2).sum((2, 3))
        both = weights * (a - mean_a[..., None, None]) * (b - mean_b[..., None, None])
        top = (2 * mean_a * mean_b + 0.01**2) * (2 * both.sum((2, 3)) + 0.03**2)
        bottom = (mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2)
        total.append((top / bottom).mean())
    return float(np.mean(total))


def test_psnr_of_an_error_of_one_step_is_known(opened: Open) -> None:
    image = np.full((8, 8, 3), 100, np.uint8)
    batch = Batch(("a",), {"image": [image], "reference": [image + np.uint8(1)]})
    assert opened(Psnr, PsnrParams()).process(batch)["score.psnr"][0] == pytest.approx(
        48.1308, abs=1e-4
    )


def test_psnr_is_the_formula(opened: Open) -> None:
    batch = pairs(2)
    found = opened(Psnr, PsnrParams()).process(batch)["score.psnr"]
    for at in range(2):
        x, y = (batch[name][at].astype(float) for name in ("image", "reference"))
        assert found[at] == pytest.approx(10 * np.log10(255**2 / ((x - y) ** 2).mean()), abs=1e-5)


def test_psnr_of_luma_weighs_colours_as_bt601(opened: Open) -> None:
    batch = pairs(1)
    found = opened(Psnr, PsnrParams(channels="y")).process(batch)["score.psnr"][0]
    x, y = (
        batch[name][0] @ np.array([65.481, 128.553, 24.966]) / 255 + 16
        for name in ("image", "reference")
    )
    assert found == pytest.approx(10 * np.log10(255**2 / ((x - y) ** 2).mean()), abs=1e-5)


def test_equal_pictures_are_at_the_end_of_every_range(opened: Open, tmp_path: Path) -> None:
    image = pictures(1, size=(161, 166))[0]
    batch = Batch(("a",), {"image": [image], "reference": [image.copy()]})
    vgg = saved(torchvision_layers(VGG), dists_channels(), tmp_path / "vgg")
    assert opened(Psnr, PsnrParams()).process(batch)["score.psnr"][0] == float("inf")
    assert opened(Ssim, SsimParams()).process(batch)["score.ssim"][0] == pytest.approx(1, abs=1e-9)
    five = opened(Ssim, SsimParams(scales="five")).process(batch)["score.ssim"][0]
    assert five == pytest.approx(1, abs=1e-9)
    dists = opened(Dists, DistsParams(model=str(vgg))).process(batch)["score.dists"][0]
    assert dists == pytest.approx(0, abs=1e-6)


def test_ssim_is_that_of_its_windows(opened: Open) -> None:
    batch = pairs(2, (24, 30))
    found = opened(Ssim, SsimParams()).process(batch)["score.ssim"]
    for at in range(2):
        expected = ssim_by_windows(batch["image"][at], batch["reference"][at])
        assert found[at] == pytest.approx(expected, abs=1e-5)


def test_five_scales_multiply_contrast_of_halved_pictures(opened: Open) -> None:
    batch = pairs(1, (176, 176))
    found = opened(Ssim, SsimParams(scales="five")).process(batch)["score.ssim"][0]
    assert found == pytest.approx(five_scales(batch["image"][0], batch["reference"][0]), abs=1e-5)


def five_scales(image: np.ndarray, reference: np.ndarray) -> float:
    x, y = image / 255.0, reference / 255.0
    places = np.arange(11) - 5
    line = np.exp(-(places**2) / 4.5)
    weights = np.outer(line, line) / np.outer(line, line).sum()
    product = np.ones(3)
    for level, power in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        for channel in range(3):
            a, b = (
                np.lib.stride_tricks.sliding_window_view(z[..., channel], (11, 11)) for z in (x, y)
            )
            mean_a, mean_b = ((z * weights).sum((2, 3)) for z in (a, b))
            var_a, var_b, both = (
                (weights * z).sum((2, 3)) - m
                for z, m in ((a * a, mean_a**2), (b * b, mean_b**2), (a * b, mean_a * mean_b))
            )
            term = (2 * both + 0.0009) / (var_a + var_b + 0.0009)
            if level == 4:
                term = term * (2 * mean_a * mean_b + 0.0001) / (mean_a**2 + mean_b**2 + 0.0001)
            product[channel] *= term.mean() ** power
        height, width = (edge // 2 for edge in x.shape[:2])
        x, y = (z[: 2 * height, : 2 * width] for z in (x, y))
        x, y = (z.reshape(height, 2, width, 2, 3).mean((1, 3)) for z in (x, y))
    return float(product.mean())


def lpips_layers() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    widths = (8, 12, 16, 12, 12)
    return {f"lin{at}.model.1.weight": torch.rand(1, w, 1, 1) for at, w in enumerate(widths)}


def dists_channels() -> dict[str, torch.Tensor]:
    torch.manual_seed(4)
    total = 3 + 4 + 6 + 8 + 8 + 8
    return {name: torch.rand(1, total, 1, 1) for name in ("alpha", "beta")}


def test_lpips_is_the_weighted_difference_of_unit_features(opened: Open, tmp_path: Path) -> None:
    net, lins, batch = torchvision_layers(ALEX), lpips_layers(), pairs(2)
    folder = saved(net, lins, tmp_path / "alex")
    found = opened(Lpips, LpipsParams(model=str(folder))).process(batch)["score.lpips"]
    for at in range(2):
        sides = []
        for name in ("image", "reference"):
            x = tensor(batch[name][at]) * 2 - 1
            x = (x - plane((-0.030, -0.088, -0.188))) / plane((0.458, 0.448, 0.450))
            with torch.no_grad():
                sides.append(tapped(net, x, ALEX_TAPS))
        expected = 0.0
        for layer, (one, two) in enumerate(zip(*sides, strict=True)):
            one, two = (z / (z.norm(dim=1, keepdim=True) + 1e-10) for z in (one, two))
            w = lins[f"lin{layer}.model.1.weight"].flatten()
            expected += float(torch.einsum("c,bchw->bhw", w, (one - two) ** 2).mean())
        assert found[at] == pytest.approx(expected, abs=1e-5)
        assert expected > 1e-3


def hann_pool(x: torch.Tensor) -> torch.Tensor:
    """Root of the Hann-weighted mean square, window by window."""
    window = np.outer(np.hanning(5)[1:-1], np.hanning(5)[1:-1])
    weights = torch.tensor(window / window.sum(), dtype=torch.float32)
    squares = nn.functional.pad(x.square(), (1, 1, 1, 1))
    blocks = squares.unfold(2, 3, 2).unfold(3, 3, 2)
    return ((blocks * weights).sum((4, 5)) + 1e-12).sqrt()


def test_dists_is_the_weighted_sum_of_texture_and_structure(opened: Open, tmp_path: Path) -> None:
    net, channels, batch = torchvision_layers(VGG), dists_channels(), pairs(2)
    folder = saved(net, channels, tmp_path / "vgg")
    found = opened(Dists, DistsParams(model=str(folder))).process(batch)["score.dists"]
    for at in range(2):
        sides = []
        for name in ("image", "reference"):
            x = tensor(batch[name][at])
            feats, h = [x], (x - plane((0.485, 0.456, 0.406))) / plane((0.229, 0.224, 0.225))
            with torch.no_grad():
                for index, layer in enumerate(net):
                    h = hann_pool(h) if isinstance(layer, nn.MaxPool2d) else layer(h)
                    if index in VGG_TAPS:
                        feats.append(h)
            sides.append(torch.cat([f[0].flatten(1).mean(1) for f in feats]))
            sides.append(feats)
        kept, place = 0.0, 0
        total = float(channels["alpha"].sum() + channels["beta"].sum())
        for one, two in zip(sides[1], sides[3], strict=True):
            for channel in range(one.shape[1]):
                a, b = (z[0, channel].double().numpy() for z in (one, two))
                covariance = ((a - a.mean()) * (b - b.mean())).mean()
                texture = (2 * a.mean() * b.mean() + 1e-6) / (a.mean() ** 2 + b.mean() ** 2 + 1e-6)
                structure = (2 * covariance + 1e-6) / (a.var() + b.var() + 1e-6)
                kept += float(channels["alpha"].flatten()[place]) * texture / total
                kept += float(channels["beta"].flatten()[place]) * structure / total
                place += 1
        assert found[at] == pytest.approx(1 - kept, abs=1e-5)


@pytest.mark.parametrize("kind", ["blur", "noise"])
def test_every_measure_falls_as_damage_grows(kind: str, opened: Open, tmp_path: Path) -> None:
    alex = saved(torchvision_layers(ALEX), lpips_layers(), tmp_path / "alex")
    vgg = saved(torchvision_layers(VGG), dists_channels(), tmp_path / "vgg")
    stages = [
        (opened(Psnr, PsnrParams()), "score.psnr", 1),
        (opened(Ssim, SsimParams()), "score.ssim", 1),
        (opened(Lpips, LpipsParams(model=str(alex))), "score.lpips", -1),
        (opened(Dists, DistsParams(model=str(vgg))), "score.dists", -1),
    ]
    for number in range(10):
        image = pictures(1, seed=number, size=(36, 36))[0]
        damaged = [damage(image, kind, level) for level in (1, 2, 4, 8)]
        batch = Batch(tuple("abcd"), {"image": damaged, "reference": [image] * 4})
        for stage, name, sign in stages:
            values = [sign * value for value in stage.process(batch)[name]]
            assert values == sorted(values, reverse=True), f"{name}, {kind}, picture {number}"


def damage(image: np.ndarray, kind: str, level: int) -> np.ndarray:
    if kind == "blur":
        return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(level)))
    noise = np.random.default_rng(9).normal(0, 1, image.shape)
    return np.clip(image + 6 * level * noise, 0, 255).astype(np.uint8)


def test_references_are_found_by_row_name_file_and_parent(opened: Open, tmp_path: Path) -> None:
    folder = tmp_path / "originals"
    folder.mkdir()
    images = pictures(3)
    for name, image in zip(("7", "cat", "42"), images, strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
    batch = Batch(
        ("7", "x", "42.1", "stranger"),
        {"image": [*images, images[0]], "path": [None, "in/cat.jpg", None, None]},
    )
    done = opened(Psnr, PsnrParams(reference=str(folder))).process(batch)
    assert done["score.psnr"][:3] == [float("inf")] * 3
    assert done["score.psnr"][3] is None
    assert done["score_info.psnr"][3]["error"] == "no reference is named like the row"


def test_one_file_is_the_reference_of_every_row(opened: Open, tmp_path: Path) -> None:
    images = pictures(2)
    Image.fromarray(images[0]).save(tmp_path / "one.png")
    done = opened(Psnr, PsnrParams(reference=str(tmp_path / "one.png"))).process(
        Batch(("a", "b"), {"image": images})
    )
    assert done["score.psnr"][0] == float("inf")
    assert done["score.psnr"][1] < 40


def deep_png(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, which Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc32(kind + body))

    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    rows = compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    parts = chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("name", ["deep.png", "shares.tif", "inks.tif"])
def test_a_file_is_its_own_reference(opened: Open, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    values = np.random.default_rng(1).random((8, 8, 3))
    if name == "deep.png":
        file.write_bytes(deep_png((values * 65535).astype(">u2")))
    elif name == "shares.tif":
        Image.fromarray(values[..., 0].astype(np.float32)).save(file)
    else:
        Image.fromarray((values * 255).astype(np.uint8)).convert("CMYK").save(file)
    row = Batch(("0",), {"image": [read_picture(file)]})

    assert opened(Psnr, PsnrParams(reference=str(file))).process(row)["score.psnr"] == [math.inf]


def test_a_picture_too_small_for_a_net_has_no_score(opened: Open, tmp_path: Path) -> None:
    alex = saved(torchvision_layers(ALEX), lpips_layers(), tmp_path / "alex")
    dot = np.zeros((2, 40, 3), np.uint8)
    made = opened(Lpips, LpipsParams(model=str(alex))).process(
        Batch(("0",), {"image": [dot], "reference": [dot]})
    )

    assert (made["score.lpips"], dict(made.failures)) == ([None], {})
    assert "too small" in made["score_info.lpips"][0]["error"]


def test_reference_of_16_bit_greys_is_scaled(opened: Open, tmp_path: Path) -> None:
    deep = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    image = np.repeat(((deep + 128.0) // 257).astype(np.uint8)[..., None], 3, axis=2)
    stage = opened(Psnr, PsnrParams(reference=str(tmp_path / "deep.png")))
    assert stage.process(Batch(("a",), {"image": [image]}))["score.psnr"] == [float("inf")]


def test_rows_without_any_reference_are_a_wrong_command(opened: Open) -> None:
    with pytest.raises(BadParams, match=r"score\.psnr: there is nothing to compare with"):
        opened(Psnr, PsnrParams()).process(Batch(("a",), {"image": pictures(1)}))


def test_missing_references_are_refused(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="no such file or folder"):
        opened(Psnr, PsnrParams(reference=str(tmp_path / "nothing")))


def test_other_size_fails_the_row_unless_told_what_to_do(opened: Open) -> None:
    image = pictures(1, size=(40, 40))[0]
    inner = image[4:36, 2:38]
    batch = Batch(("a",), {"image": [inner], "reference": [image]})
    failed = opened(Psnr, PsnrParams()).process(batch)
    assert "36×32 pixels, its reference 40×40" in failed.failures["a"].reason
    cropped = opened(Psnr, PsnrParams(align="crop")).process(batch)
    assert cropped["score.psnr"] == [float("inf")]
    resized = opened(Psnr, PsnrParams(align="resize")).process(batch)
    assert 5 < resized["score.psnr"][0] < 60


@pytest.mark.parametrize(("edge", "scales"), [(10, "one"), (160, "five")])
def test_picture_smaller_than_the_window_has_no_score(edge: int, scales: Any, opened: Open) -> None:
    image = pictures(1, size=(edge, edge))[0]
    batch = Batch(("a",), {"image": [image], "reference": [image]})
    done = opened(Ssim, SsimParams(scales=scales)).process(batch)
    assert done["score.ssim"] == [None]
    assert f"edges of {edge + 1} pixels" in done["score_info.ssim"][0]["error"]


def test_net_without_its_channel_weights_is_refused(opened: Open, tmp_path: Path) -> None:
    folder = saved(torchvision_layers(VGG), {"alpha": torch.ones(1)}, tmp_path / "vgg")
    with pytest.raises(ModelUnusable, match="no 'beta'"):
        opened(Dists, DistsParams(model=str(folder)))
    with pytest.raises(ModelUnusable, match=r"no 'lin0\.model\.1\.weight'"):
        opened(Lpips, LpipsParams(model=str(folder)))


def test_no_net_is_fetched(opened: Open) -> None:
    with pytest.raises(ModelUnusable, match="no net is named"):
        opened(Lpips, LpipsParams())


def test_record_says_that_lower_is_better(opened: Open, tmp_path: Path) -> None:
    folder = saved(torchvision_layers(ALEX), lpips_layers(), tmp_path / "alex")
    record = opened(Lpips, LpipsParams(model=str(folder))).process(pairs(1))["score_info.lpips"][0]
    assert (record["better"], record["range"]) == ("lower", [0.0, None])
    assert record["model"] == str(folder)
